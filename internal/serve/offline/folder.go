package offline

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"grapnel/client"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/telemetry"
)

// KeyName is the name of the file with the key of the secrets in a data folder.
const KeyName = keyring.FileName

// Holds reports whether a server ever used a folder. The error is not nil when
// that cannot be told.
func Holds(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, sqlite.ConfigurationName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Folder is a data folder that is open, so that nobody else can open it, or a database
// that others may have open too.
type Folder struct {
	dir   string // "": it is a database
	store store.Store
}

// maintainer is an engine with work of its own that may wait for long.
type maintainer interface {
	Maintain(ctx context.Context) error
}

// Open opens a folder, which brings it up to this program's schema.
// store.ErrLocked: a server has it.
func Open(ctx context.Context, dir string) (*Folder, error) {
	st, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	return &Folder{dir: dir, store: st}, nil
}

// Close lets others have the folder.
func (f *Folder) Close() error { return f.store.Close() }

// Migrate brings a folder up to this program's schema. Errors are those of
// Open.
func Migrate(ctx context.Context, dir string) error {
	f, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	return f.Close()
}

// BackupOptions say how to take a backup.
type BackupOptions struct {
	At       time.Time               // what it is dated
	WithKey  bool                    // the key of the secrets goes with it, if it is in the folder
	Progress func(done, total int64) // is told how many of about so many bytes are written; nil: nobody is told
}

// Backup writes all that the folder holds to w.
func (f *Folder) Backup(ctx context.Context, w io.Writer, o BackupOptions) error {
	q := store.BackupQuery{At: o.At, Program: telemetry.ReadVersion().Version, Progress: o.Progress}
	if file := filepath.Join(f.dir, KeyName); o.WithKey && there(file) {
		q.KeyFile = file
	}
	engine, ok := f.store.(store.Backuper)
	if !ok {
		return errors.New("this store is backed up with the tools of its database")
	}
	_, err := engine.Backup(ctx, w, q)
	return err
}

func there(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Stats tells how the store is, in the shape that a server tells it in.
func (f *Folder) Stats(ctx context.Context) (*client.Store, error) {
	s, err := f.store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	out := &client.Store{Engine: s.Engine, Durability: s.Durability, Events: s.Events, Units: int64(s.Units), Bytes: s.Bytes, Expired: s.Expired, Writable: s.Writable, Problem: s.Problem}
	if !s.Oldest.IsZero() {
		out.Oldest = &s.Oldest
	}
	last, err := f.store.LastEvent(ctx)
	if err == nil && !last.IsZero() {
		out.LastEvent = last.String()
	}
	if db, ok := f.store.(*postgres.Store); ok && err == nil {
		out.Warnings, err = db.LookForWarnings(ctx)
	}
	return out, err
}

// Pruned says what went, or would go.
type Pruned struct {
	DryRun  bool      `json:"dry_run"`
	Before  time.Time `json:"before,omitzero"`
	Events  int64     `json:"events"`
	Files   int       `json:"files"`
	Expired int64     `json:"expired"`          // deliveries that end without having been made
	Over    int64     `json:"over,omitempty"`   // bytes by which the log is still larger than asked for
	Pinned  int       `json:"pinned,omitempty"` // files that stay for deliveries that can still be sent
}

func (p *Pruned) count(by store.Pruned) {
	p.Events, p.Files, p.Over, p.Pinned = p.Events+by.Events, p.Files+by.Units, by.Over, by.Pinned
	for _, n := range by.Expired {
		p.Expired += n
	}
}

// Prune removes events that were accepted before an instant, by whole files of
// the log; with dry it changes nothing. Deliveries to endpoints that get nothing
// now end with their events.
func (f *Folder) Prune(ctx context.Context, before time.Time, dry bool) (*Pruned, error) {
	return f.prune(ctx, store.PruneQuery{Before: before, DryRun: dry})
}

// Shrink removes the oldest events, as Prune does, until the log takes no more
// than so many bytes on the disk.
func (f *Folder) Shrink(ctx context.Context, bytes int64, dry bool) (*Pruned, error) {
	return f.prune(ctx, store.PruneQuery{Bytes: bytes, DryRun: dry})
}

func (f *Folder) prune(ctx context.Context, q store.PruneQuery) (*Pruned, error) {
	endpoints, err := directory.Load(ctx, f.store)
	if err != nil {
		return nil, err
	}
	q.Inactive = func(n hook.EndpointNum) bool {
		e, ok := endpoints.Endpoint(n)
		return !ok || !e.Active()
	}
	out := &Pruned{DryRun: q.DryRun, Before: q.Before.UTC()}
	if q.DryRun {
		p, err := f.store.Prune(ctx, q)
		out.count(p)
		return out, err
	}
	for range 2 { // what the first call only ends, the second one removes when it is sealed
		p, err := f.store.Prune(ctx, q)
		if m, ok := f.store.(maintainer); ok && err == nil {
			err = m.Maintain(ctx)
		}
		if err != nil {
			return nil, err
		}
		out.count(p)
	}
	return out, nil
}
