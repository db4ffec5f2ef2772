package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// control is control.db with its one connection.
type control struct {
	s       *Store
	mu      sync.Mutex
	c       *connection
	suspect bool
	room    map[string]int64 // requests of a scope that can be stored before they have to be counted anew
}

// ConfigurationName is the name of the database that holds the configuration. A
// folder without it is no data folder.
const ConfigurationName = "control.db"

const controlName = ConfigurationName

// openControl opens control.db and counts the start.
func (s *Store) openControl() (*control, error) {
	k := &control{s: s}
	if err := k.open(); err != nil {
		return nil, err
	}
	if err := controlDB.migrate(k.c); err != nil {
		k.close()
		return nil, err
	}
	if err := k.load(); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func (k *control) open() error {
	c, err := k.s.open(filepath.Join(k.s.dir, controlName), role{create: true, cache: readerCache, checkpoint: lateCheckpoint})
	if err != nil {
		return err
	}
	if _, err = c.int(`SELECT count(*) FROM sqlite_schema`); err == nil { // makes the log's file
		err = wrapOS(k.s.syncDir(k.s.dir))
	}
	if err != nil {
		c.close()
		return err
	}
	k.c = c
	return nil
}

// load reads what the store keeps in memory, and takes the next start's token.
func (k *control) load() error {
	s := k.s
	return k.write(func(c *connection) error {
		if err := c.exec(`UPDATE meta SET value = value + 1 WHERE name = 'starts'`); err != nil {
			return err
		}
		meta, err := c.meta()
		if err != nil {
			return err
		}
		s.token = meta["starts"]
		s.revision.Store(meta["revision"])
		s.expired.Store(meta["expired"])
		if meta["last_event"] > 0 {
			s.last = hook.EventIDFrom(meta["last_event"], uint64(meta["last_tail"]))
		}
		s.nextNumber = meta["next_number"]
		return c.query(`SELECT seed FROM seed`, nil, func(st *sqlite3.Stmt) bool {
			s.seed = blob(st, 0)
			return false
		})
	})
}

func (k *control) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.c.close()
}

// write runs a transaction. After an error of the storage the connection is
// replaced, as a segment's is, with a transaction of its own over the leftovers.
func (k *control) write(fn func(c *connection) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.suspect {
		if err := k.replace(); err != nil {
			k.s.health.set(k, err)
			return err
		}
	}
	if err := k.c.begin(); err != nil {
		return k.failed(err)
	}
	if err := fn(k.c); err != nil {
		k.c.rollback()
		return k.failed(err)
	}
	err := k.c.commit()
	if err == nil {
		k.s.health.set(k, nil)
		return nil
	}
	k.c.rollback()
	_ = k.failed(err)
	if rerr := k.replace(); rerr != nil && !errors.Is(err, sqlite3.FULL) {
		return &storageError{err: fmt.Errorf("%w: %w (and then: %w)", store.ErrUnknown, err, rerr)}
	}
	return err
}

// failed notes an error of the storage.
func (k *control) failed(err error) error {
	if isStorage(err) {
		k.suspect = true
		k.s.health.set(k, err)
	}
	return err
}

// replace opens a new connection and commits with it before the old one goes.
func (k *control) replace() error {
	old := k.c
	if err := k.open(); err != nil {
		return err
	}
	err := k.c.write(func() error {
		return k.c.exec(`INSERT OR REPLACE INTO meta (name, value) VALUES ('repairs', coalesce((SELECT value FROM meta WHERE name = 'repairs'), 0) + 1)`)
	})
	if err != nil {
		k.c.close()
		k.c = old
		return err
	}
	old.close()
	k.suspect = false
	revision, err := k.c.int(`SELECT value FROM meta WHERE name = 'revision'`)
	if err == nil {
		k.s.know(revision)
	}
	return err
}

// read runs queries in the state of one moment.
func (k *control) read(ctx context.Context, fn func(c *connection) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.c.db.SetInterrupt(ctx)
	defer k.c.db.SetInterrupt(context.Background())
	err := k.c.exec(`BEGIN`)
	if err == nil {
		err = fn(k.c)
	}
	k.c.db.SetInterrupt(context.Background())
	k.c.rollback()
	return interrupted(ctx, k.failed(err))
}

// setMeta sets a value of meta.
func setMeta(c *connection, name string, value int64) error {
	return c.exec(`UPDATE meta SET value = ? WHERE name = ?`, value, name)
}

// Configure stores a change in one transaction.
func (s *Store) Configure(ctx context.Context, ch *store.Change) (int64, error) {
	if ch.Note && len(ch.Tenants)+len(ch.Endpoints)+len(ch.Types)+len(ch.Pinned) > 0 {
		return 0, errors.New("configure: a note holds keys and replays only")
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	nums := numbersOf(ch)
	var revision int64
	err := s.control.write(func(c *connection) error {
		meta, err := c.meta()
		if err != nil {
			return err
		}
		if ch.Base != 0 && max(ch.Base, 0) != meta["revision"] {
			return fmt.Errorf("%w: it is %d, the change was made from %d", store.ErrStale, meta["revision"], ch.Base)
		}
		revision = meta["revision"]
		if ch.Configures() {
			if !ch.Note {
				revision++
			}
			if err := putChange(c, ch, meta, revision); err != nil {
				return err
			}
		}
		if ch.Complete != nil {
			if err := ch.Complete(); err != nil {
				return err
			}
		}
		if err := putAudit(c, ch); err != nil {
			return err
		}
		return s.remember(c, ch.Requests)
	})
	if err != nil {
		nums.restore(ch)
		return 0, fmt.Errorf("configure: %w", err)
	}
	s.know(revision)
	return revision, nil
}

// putChange stores the records of a change as of its revision.
func putChange(c *connection, ch *store.Change, meta map[string]int64, revision int64) error {
	if err := putTenants(c, ch.Tenants, meta["next_tenant"], revision); err != nil {
		return err
	}
	if err := putEndpoints(c, ch.Endpoints, meta["next_endpoint"], revision); err != nil {
		return err
	}
	if err := putTypes(c, ch.Types, revision); err != nil {
		return err
	}
	if err := putKeys(c, ch.Keys, revision); err != nil {
		return err
	}
	if err := putReplays(c, ch.Replays, revision); err != nil {
		return err
	}
	if err := putPinned(c, ch.Pinned, revision); err != nil {
		return err
	}
	return setMeta(c, "revision", revision)
}

// know notes a revision, unless a later one is known.
func (s *Store) know(revision int64) {
	for {
		old := s.revision.Load()
		if revision <= old || s.revision.CompareAndSwap(old, revision) {
			return
		}
	}
}

// numbers remembers the numbers in a change, to take back those that were given.
type numbers struct {
	tenants   []hook.TenantNum
	endpoints []hook.EndpointNum
}

func numbersOf(ch *store.Change) numbers {
	var n numbers
	for _, t := range ch.Tenants {
		n.tenants = append(n.tenants, t.Num)
	}
	for _, e := range ch.Endpoints {
		n.endpoints = append(n.endpoints, e.Num)
	}
	return n
}

func (n numbers) restore(ch *store.Change) {
	for i, t := range ch.Tenants {
		t.Num = n.tenants[i]
	}
	for i, e := range ch.Endpoints {
		e.Num = n.endpoints[i]
	}
}

func putTenants(c *connection, tenants []*hook.Tenant, next, revision int64) error {
	for _, t := range tenants {
		if t.Num == 0 {
			t.Num = hook.TenantNum(next)
		}
		next = max(next, int64(t.Num)+1)
		err := putRecord(c, `INSERT INTO tenants (num, id, rev, deleted, doc) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (num) DO UPDATE SET id = excluded.id, rev = excluded.rev, deleted = excluded.deleted, doc = excluded.doc`,
			"tenant", t.ID, t, int64(t.Num), t.ID, revision, flag(t.Deleted))
		if err != nil {
			return err
		}
	}
	return setMeta(c, "next_tenant", next)
}

func putEndpoints(c *connection, endpoints []*hook.Endpoint, next, revision int64) error {
	for _, e := range endpoints {
		if e.Num == 0 {
			e.Num = hook.EndpointNum(next)
		}
		next = max(next, int64(e.Num)+1)
		err := putRecord(c, `INSERT INTO endpoints (num, id, rev, deleted, doc) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (num) DO UPDATE SET id = excluded.id, rev = excluded.rev, deleted = excluded.deleted, doc = excluded.doc`,
			"endpoint", e.ID, e, int64(e.Num), e.ID, revision, flag(e.Deleted))
		if err != nil {
			return err
		}
	}
	return setMeta(c, "next_endpoint", next)
}

func putTypes(c *connection, types []*hook.EventType, revision int64) error {
	for _, t := range types {
		err := putRecord(c, `INSERT INTO types (name, rev, deleted, doc) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET rev = excluded.rev, deleted = excluded.deleted, doc = excluded.doc`,
			"event type", t.Name, t, t.Name, revision, flag(t.Deleted))
		if err != nil {
			return err
		}
	}
	return nil
}

func putKeys(c *connection, keys []*hook.Key, revision int64) error {
	for _, k := range keys {
		err := putRecord(c, `INSERT INTO keys (id, hash, rev, deleted, doc) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, rev = excluded.rev, deleted = excluded.deleted, doc = excluded.doc`,
			"key", k.ID, k, k.ID, k.Hash[:], revision, flag(k.Deleted))
		if err != nil {
			return err
		}
	}
	return nil
}

func putReplays(c *connection, replays []*hook.Replay, revision int64) error {
	for _, r := range replays {
		err := putRecord(c, `INSERT INTO replays (id, rev, deleted, finished, doc) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET rev = excluded.rev, deleted = excluded.deleted, finished = excluded.finished, doc = excluded.doc`,
			"replay", r.ID, r, r.ID, revision, flag(r.Deleted), codec.FromTime(r.FinishedAt))
		if err != nil {
			return err
		}
	}
	return nil
}

func putPinned(c *connection, pinned []*hook.Pinned, revision int64) error {
	for _, p := range pinned {
		err := putRecord(c, `INSERT INTO pinned (name, rev, doc) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET rev = excluded.rev, doc = excluded.doc`,
			"pinned value", p.Name, p, p.Name, revision)
		if err != nil {
			return err
		}
	}
	return nil
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// putRecord stores a record: its columns, then the record as JSON. A unique
// value that a live record has already is the caller's conflict.
func putRecord(c *connection, sql, what, id string, doc any, columns ...any) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("%s %q: %w", what, id, err)
	}
	err = c.exec(sql, append(columns, string(text))...)
	if errors.Is(err, sqlite3.CONSTRAINT_UNIQUE) {
		conflict := hook.Errorf(hook.CodeConflict, "there is a %s %q already", what, id)
		if what == "key" {
			conflict.Message = "this key is in use already"
		}
		conflict.Err = err
		return conflict
	}
	return err
}

// Configuration returns what changed after a revision.
func (s *Store) Configuration(ctx context.Context, since int64) (*store.Configuration, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var out *store.Configuration
	err := s.control.read(ctx, func(c *connection) (err error) {
		out, err = c.configuration(since)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return out, nil
}

func (c *connection) configuration(since int64) (out *store.Configuration, err error) {
	if out, err = c.fewRecords(since); err != nil {
		return nil, err
	}
	// The plus keeps SQLite from going through the whole table in its order: few
	// records are new, and the index on rev finds them.
	if out.Tenants, err = records[hook.Tenant](c, `SELECT doc FROM tenants WHERE rev > ? ORDER BY +num`, since); err != nil {
		return nil, err
	}
	out.Endpoints, err = records[hook.Endpoint](c, `SELECT doc FROM endpoints WHERE rev > ? ORDER BY +num`, since)
	return out, err
}

// fewRecords reads what there is not much of: all but tenants and endpoints.
func (c *connection) fewRecords(since int64) (out *store.Configuration, err error) {
	out = &store.Configuration{}
	if out.Revision, err = c.int(`SELECT value FROM meta WHERE name = 'revision'`); err != nil {
		return nil, err
	}
	if out.Types, err = records[hook.EventType](c, `SELECT doc FROM types WHERE rev > ? ORDER BY +name`, since); err != nil {
		return nil, err
	}
	if out.Keys, err = records[hook.Key](c, `SELECT doc FROM keys WHERE rev > ? ORDER BY +id`, since); err != nil {
		return nil, err
	}
	if out.Replays, err = records[hook.Replay](c, `SELECT doc FROM replays WHERE rev > ? ORDER BY +id`, since); err != nil {
		return nil, err
	}
	out.Pinned, err = records[hook.Pinned](c, `SELECT doc FROM pinned WHERE rev > ? ORDER BY +name`, since)
	return out, err
}

// records reads documents.
func records[T any](c *connection, sql string, since int64) (out []*T, err error) {
	var bad error
	err = c.query(sql, []any{since}, func(st *sqlite3.Stmt) bool {
		v := new(T)
		if bad = json.Unmarshal(st.ColumnRawText(0), v); bad != nil {
			return false
		}
		out = append(out, v)
		return true
	})
	return out, errors.Join(err, bad)
}

// Acquire gives the lease over all partitions. Its tokens are the number of the
// start.
func (s *Store) Acquire(ctx context.Context, node string) (store.Lease, error) {
	if err := s.enter(ctx); err != nil {
		return store.Lease{}, err
	}
	defer s.leave()
	s.released.Store(false)
	l := store.Lease{Node: node, Partitions: ^uint64(0)}
	for p := range l.Tokens {
		l.Tokens[p] = s.token
	}
	return l, nil
}

// Renew returns the lease as it is: it never ends while the store is open.
func (s *Store) Renew(ctx context.Context, l store.Lease) (store.Lease, error) {
	if err := s.enter(ctx); err != nil {
		return store.Lease{}, err
	}
	defer s.leave()
	return l, s.checkLease(l)
}

// Release gives the lease back: until the next Acquire it allows nothing.
func (s *Store) Release(ctx context.Context, l store.Lease) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.checkLease(l); err != nil {
		return err
	}
	s.released.Store(true)
	return nil
}

// checkLease refuses a lease of an earlier start (I10).
func (s *Store) checkLease(l store.Lease) error {
	for p, token := range l.Tokens {
		if l.Partitions>>p&1 == 1 && token != s.token || s.released.Load() {
			return fmt.Errorf("%w: its token is %d, the current one is %d", store.ErrLeaseLost, token, s.token)
		}
	}
	return nil
}
