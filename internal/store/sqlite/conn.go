package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/store"
)

// busyTimeout bounds the wait for another connection's lock. Inside one process
// they are held for milliseconds.
const busyTimeout = 5 * time.Second

// Page cache of a connection in KiB, and WAL pages at which a commit starts a
// checkpoint.
const (
	writerCache     = 8 << 10
	readerCache     = 1 << 10
	lateCheckpoint  = 1000
	neverCheckpoint = 0
)

// connection is an SQLite connection with its prepared statements. It is used
// by one goroutine at a time.
type connection struct {
	db    *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
	// Statements of a segment's writer that insert many rows.
	newEvents, newAttempts inserter
	// index is the memory of a reader's segment, as it was before the read began;
	// nil: it was sealed by then. A seal that ends meanwhile is not in the snapshot.
	index *index
}

// role says what a connection is for.
type role struct {
	create     bool
	readOnly   bool
	cache      int  // KiB
	checkpoint int  // WAL pages; 0: never by itself
	moves      bool // it only moves the log into the file
}

// open opens a database and asserts that what it commits is durable.
func (s *Store) open(path string, r role) (*connection, error) {
	flags := sqlite3.OPEN_READWRITE | sqlite3.OPEN_URI
	if r.create {
		flags |= sqlite3.OPEN_CREATE
	}
	name := "file:" + (&url.URL{Path: path}).EscapedPath()
	if s.vfs != "" {
		name += "?vfs=" + url.QueryEscape(s.vfs)
	}
	if r.moves {
		name += "&" + aheadParameter + "=1"
	}
	db, err := sqlite3.OpenFlags(name, flags)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, wrap(err))
	}
	c := &connection{
		db: db, stmts: map[string]*sqlite3.Stmt{},
		newEvents: inserter{insert: insertEvents, columns: 14}, newAttempts: inserter{insert: insertAttempts, columns: 8},
	}
	if err := c.configure(r); err != nil {
		c.close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return c, nil
}

// configure sets a connection up and reads back what durability depends on
// (case 4).
func (c *connection) configure(r role) error {
	if err := c.db.BusyTimeout(busyTimeout); err != nil {
		return wrap(err)
	}
	err := c.db.Exec(fmt.Sprintf(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;
		PRAGMA cache_size=-%d; PRAGMA wal_autocheckpoint=%d; PRAGMA query_only=%t`, r.cache, r.checkpoint, r.readOnly))
	if err != nil {
		return wrap(err)
	}
	mode, err := c.text(`PRAGMA journal_mode`)
	if err != nil {
		return err
	}
	if !strings.EqualFold(mode, "wal") {
		return fmt.Errorf("%w: journal_mode is %q, it has to be wal: commits would not be durable", store.ErrUnavailable, mode)
	}
	sync, err := c.int(`PRAGMA synchronous`)
	if err != nil {
		return err
	}
	if sync < 2 {
		return fmt.Errorf("%w: synchronous is %d, it has to be 2 (FULL): commits would not be durable", store.ErrUnavailable, sync)
	}
	return nil
}

// stmt prepares a statement once. It is reset after use by its user.
func (c *connection) stmt(sql string) (*sqlite3.Stmt, error) {
	if st, ok := c.stmts[sql]; ok {
		return st, nil
	}
	st, _, err := c.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, wrap(err)
	}
	c.stmts[sql] = st
	return st, nil
}

// exec runs a statement that returns nothing.
func (c *connection) exec(sql string, args ...any) error {
	st, err := c.stmt(sql)
	if err != nil {
		return err
	}
	if err := bind(st, args); err != nil {
		return err
	}
	return wrap(st.Exec())
}

// query calls row for each row until it returns false.
func (c *connection) query(sql string, args []any, row func(st *sqlite3.Stmt) bool) error {
	st, err := c.stmt(sql)
	if err != nil {
		return err
	}
	if err := bind(st, args); err != nil {
		return err
	}
	for st.Step() {
		if !row(st) {
			break
		}
	}
	err = st.Err()
	if e := st.Reset(); err == nil {
		err = e
	}
	return wrap(err)
}

// int returns the first column of the first row, 0 without one.
func (c *connection) int(sql string, args ...any) (v int64, err error) {
	err = c.query(sql, args, func(st *sqlite3.Stmt) bool { v = st.ColumnInt64(0); return false })
	return v, err
}

func (c *connection) text(sql string, args ...any) (v string, err error) {
	err = c.query(sql, args, func(st *sqlite3.Stmt) bool { v = st.ColumnText(0); return false })
	return v, err
}

// begin starts a transaction that may write. Never a deferred one: an upgrade
// from reading to writing fails at once when somebody else wrote meanwhile.
func (c *connection) begin() error  { return c.exec(`BEGIN IMMEDIATE`) }
func (c *connection) commit() error { return c.exec(`COMMIT`) }

// rollback ends a transaction, if one is open. Its own failure does not
// matter: whoever rolls back after an I/O error drops the connection.
func (c *connection) rollback() {
	if !c.db.GetAutocommit() {
		_ = c.exec(`ROLLBACK`)
	}
}

// write runs fn in a transaction.
func (c *connection) write(fn func() error) error {
	if err := c.begin(); err != nil {
		return err
	}
	if err := fn(); err != nil {
		c.rollback()
		return err
	}
	if err := c.commit(); err != nil {
		c.rollback()
		return err
	}
	return nil
}

// close lets go of the connection. Statements go first, for an open one would
// keep it open.
func (c *connection) close() {
	if c == nil || c.db == nil {
		return
	}
	defer func() { _ = recover() }() // after a panic in the driver nothing of it works
	for _, st := range c.stmts {
		_ = st.Close()
	}
	c.stmts = nil
	_ = c.db.Close()
	c.db = nil
}

func bind(st *sqlite3.Stmt, args []any) error {
	for i, a := range args {
		var err error
		switch v := a.(type) {
		case int64:
			err = st.BindInt64(i+1, v)
		case int:
			err = st.BindInt64(i+1, int64(v))
		case string:
			err = st.BindText(i+1, v)
		case []byte:
			err = bindBlob(st, i+1, v)
		default:
			return fmt.Errorf("cannot bind %T", a)
		}
		if err != nil {
			return wrap(err)
		}
	}
	return nil
}

// bindBlob binds nil as NULL and empty as empty.
func bindBlob(st *sqlite3.Stmt, i int, v []byte) error {
	if v == nil {
		return st.BindNull(i)
	}
	return st.BindBlob(i, v)
}

// blob copies a column; nil for NULL.
func blob(st *sqlite3.Stmt, i int) []byte {
	raw := st.ColumnRawBlob(i)
	if raw == nil {
		if st.ColumnType(i) == sqlite3.NULL {
			return nil
		}
		return []byte{}
	}
	return append(make([]byte, 0, len(raw)), raw...)
}

// storageError is an error of the disk or the file, after which nothing that
// the connection believes may be trusted.
type storageError struct {
	err  error
	full bool
}

func (e *storageError) Error() string { return e.err.Error() }

func (e *storageError) Unwrap() []error {
	if e.full {
		return []error{store.ErrFull, e.err}
	}
	return []error{store.ErrUnavailable, e.err}
}

// wrap turns the driver's errors about the storage into store's.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	var known *storageError
	if errors.As(err, &known) {
		return err
	}
	var code sqlite3.ErrorCode
	if !errors.As(err, &code) {
		return err
	}
	switch code {
	case sqlite3.FULL:
		return &storageError{err: err, full: true}
	case sqlite3.IOERR, sqlite3.CORRUPT, sqlite3.NOTADB, sqlite3.CANTOPEN, sqlite3.PROTOCOL, sqlite3.READONLY, sqlite3.PERM, sqlite3.BUSY, sqlite3.LOCKED:
		return &storageError{err: err, full: errors.Is(err, syscall.ENOSPC)}
	}
	return err
}

// wrapOS turns an error of the file system into store's.
func wrapOS(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	if err == nil || !errors.As(err, &path) && !errors.As(err, &link) {
		return wrap(err)
	}
	return &storageError{err: err, full: errors.Is(err, syscall.ENOSPC)}
}

// isStorage reports whether err is about the disk or the file.
func isStorage(err error) bool {
	var e *storageError
	return errors.As(err, &e)
}

// interrupted gives the context's error for a query that it ended.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, sqlite3.INTERRUPT) {
		return ctx.Err()
	}
	return err
}
