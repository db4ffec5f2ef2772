package offline

import (
	"context"
	"fmt"
	"io"
	"time"

	"grapnel/internal/store/sqlite"
)

// Backup says what a backup holds.
type Backup struct {
	Format    int              `json:"format"`  // of the backup
	Program   string           `json:"program"` // version that made it
	Engine    string           `json:"engine"`
	Schema    map[string]int64 `json:"schema"`         // version of each kind of database
	Mark      string           `json:"mark,omitempty"` // id of the last event that was there when it was begun; all up to it are in it
	CreatedAt time.Time        `json:"created_at"`
	WithKey   bool             `json:"with_key"` // the key of the secrets is in it
	Files     []BackupFile     `json:"files"`
}

// BackupFile is one file of a backup.
type BackupFile struct {
	Name   string `json:"name"` // with slashes, below the data folder
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hex
}

// Bytes is the size of all files together.
func (b *Backup) Bytes() (n int64) {
	for _, f := range b.Files {
		n += f.Size
	}
	return n
}

func newBackup(m *sqlite.Manifest) *Backup {
	out := &Backup{Format: m.Format, Program: m.Program, Engine: m.Engine, Schema: m.Schema, Mark: m.Mark, CreatedAt: m.CreatedAt, WithKey: m.WithKey, Files: make([]BackupFile, len(m.Files))}
	for i, f := range m.Files {
		out.Files[i] = BackupFile(f)
	}
	return out
}

// Verify reads a backup and holds every file against the manifest, without
// writing anything.
func Verify(ctx context.Context, r io.Reader) (*Backup, error) {
	m, err := sqlite.Verify(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	return newBackup(m), nil
}

// Unpack writes a backup's files into a folder, to be looked at, and holds every
// one against the manifest. progress is told how many bytes were written.
func Unpack(ctx context.Context, r io.Reader, dir string, progress func(written int64)) (*Backup, error) {
	m, err := sqlite.Unpack(ctx, r, dir, progress)
	if err != nil {
		return nil, err
	}
	return newBackup(m), nil
}

// Restore makes a data folder out of a backup, which has been held against its
// manifest and looked through before anything gets its place. dir must be empty
// or not there. progress is told how many bytes were written.
func Restore(ctx context.Context, r io.Reader, dir string, progress func(written int64)) (*Backup, error) {
	look := func(unpacked string) error {
		report, err := Check(ctx, unpacked, nil)
		if err == nil && len(report.Findings) > 0 {
			f := report.Findings[0]
			err = fmt.Errorf("the store in the backup is damaged: %s: %s", f.File, f.Problem)
		}
		return err
	}
	m, err := sqlite.Restore(ctx, r, sqlite.RestoreOptions{Dir: dir, Progress: progress, Verify: look})
	if err != nil {
		return nil, err
	}
	return newBackup(m), nil
}
