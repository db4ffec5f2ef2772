package sqlite

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Source reads a folder to copy it. Nothing in the folder is written, but its lock.
type Source struct {
	dir      string
	unlock   func()
	segments []int64 // firsts
	control  *connection
	log      *connection // of the segment that was read last
	of       int64       // its first
	info     store.SourceInfo
}

var _ store.Source = (*Source)(nil)

// OpenSource takes a folder to copy it. Its schema has to be this program's.
// store.ErrLocked: another process has it.
func OpenSource(ctx context.Context, dir string) (*Source, error) {
	unlock, err := holdFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Source{dir: dir, unlock: unlock}
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("read the store in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Source) open(ctx context.Context) (err error) {
	if s.control, err = openCurrent(filepath.Join(s.dir, controlName), controlDB); err != nil {
		return err
	}
	if err := s.list(); err != nil {
		return err
	}
	meta, err := s.control.meta()
	if err != nil {
		return err
	}
	s.info = store.SourceInfo{
		Revision: meta["revision"], NextTenant: meta["next_tenant"], NextEndpoint: meta["next_endpoint"], NextNumber: meta["next_number"], Expired: meta["expired"],
	}
	if meta["last_event"] > 0 {
		s.info.Last = hook.EventIDFrom(meta["last_event"], uint64(meta["last_tail"]))
	}
	if meta["floor"] > 0 {
		s.info.Floor = hook.EventIDFrom(meta["floor"], uint64(meta["floor_tail"]))
	}
	err = s.control.query(`SELECT seed FROM seed`, nil, func(st *sqlite3.Stmt) bool {
		s.info.Since = fmt.Sprintf("%x", sha256.Sum256(st.ColumnRawBlob(0)))[:16]
		s.info.Name = fmt.Sprintf("%s-%d", s.info.Since, meta["starts"])
		return false
	})
	if err != nil {
		return err
	}
	return s.measure(ctx)
}

// openCurrent opens a database to read it, if its schema is this program's.
func openCurrent(file string, k kind) (*connection, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	c, err := openToRead(file)
	if err != nil {
		return nil, err
	}
	pending, err := k.check(c)
	if err == nil && len(pending) > 0 {
		err = fmt.Errorf("%s has an earlier schema: run grapnel db migrate up", filepath.Base(file))
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// list finds the segments that are still there.
func (s *Source) list() error {
	var gone []int64
	err := s.control.query(`SELECT first FROM removed`, nil, func(st *sqlite3.Stmt) bool {
		gone = append(gone, st.ColumnInt64(0))
		return true
	})
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, segmentDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if first, ok := parseSegmentName(e.Name()); ok && !slices.Contains(gone, first) {
			s.segments = append(s.segments, first)
		}
	}
	slices.Sort(s.segments)
	return nil
}

// measure counts the events and finds the last one, and the number after its last
// delivery. A log that ends before what was told of its progress has lost files.
func (s *Source) measure(ctx context.Context) error {
	end := int64(0)
	for _, first := range s.segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := s.segment(first)
		if err != nil {
			return err
		}
		n, err := c.count()
		if err != nil {
			return err
		}
		s.info.Events += n
		g := &segment{}
		if err := g.loadLast(c); err != nil {
			return err
		}
		if g.last > s.info.Last.Seq() {
			s.info.Last = hook.EventIDFrom(g.last, uint64(g.lastTail))
		}
		s.info.NextNumber = max(s.info.NextNumber, g.nextNumber)
		end = max(end, g.last, first-1)
	}
	if s.info.Floor.Seq() > max(end, s.info.Last.Seq())+1 {
		return errors.New("files of the log are missing: run grapnel db check")
	}
	return nil
}

// count is how many events a segment has. A sealed one says it.
func (c *connection) count() (int64, error) {
	meta, err := c.meta()
	if err != nil || meta["sealed"] == 1 {
		return meta["events"], err
	}
	return c.int(`SELECT count(*) FROM events`)
}

// segment opens a segment, instead of the one before.
func (s *Source) segment(first int64) (*connection, error) {
	if s.log != nil && s.of == first {
		return s.log, nil
	}
	s.log.close()
	s.log = nil
	c, err := openCurrent((&Store{dir: s.dir}).segmentPath(first), segmentDB)
	if err == nil {
		s.log, s.of = c, first
	}
	return c, err
}

// About tells what the rows do not.
func (s *Source) About() store.SourceInfo { return s.info }

// Close lets others have the folder.
func (s *Source) Close() error {
	s.log.close()
	s.control.close()
	s.unlock()
	return nil
}

// Next finds the events that follow after one.
func (s *Source) Next(ctx context.Context, after int64, limit int, bytes int64) (run store.SourceRun, err error) {
	for i, first := range s.segments {
		if i+1 < len(s.segments) && s.segments[i+1] <= after {
			continue
		}
		if err := ctx.Err(); err != nil {
			return run, err
		}
		c, err := s.segment(first)
		if err != nil {
			return run, err
		}
		err = c.query(`SELECT id, length(data) + coalesce(length(previous), 0) + coalesce(length(metadata), 0) FROM events WHERE id > ? ORDER BY id LIMIT ?`,
			[]any{after, limit}, func(st *sqlite3.Stmt) bool {
				run.Last = st.ColumnInt64(0)
				if run.Events++; run.Events == 1 {
					run.First = run.Last
				}
				bytes -= st.ColumnInt64(1)
				return bytes > 0
			})
		if err != nil || run.Events > 0 {
			return run, err
		}
	}
	return run, nil
}

// sourceQueries read a table each. Those of the log are of a segment, and take the
// numbers of its first delivery and of the one after its last.
var sourceQueries = map[store.SourceTable]string{
	store.SourceTenants:   `SELECT num, id, rev, deleted, doc FROM tenants ORDER BY num`,
	store.SourceEndpoints: `SELECT num, id, json_extract(doc, '$.TenantNum'), rev, deleted, doc FROM endpoints ORDER BY num`,
	store.SourceTypes:     `SELECT name, rev, deleted, doc FROM types ORDER BY name`,
	store.SourceKeys:      `SELECT id, hash, rev, deleted, doc FROM keys ORDER BY id`,
	store.SourceReplays:   `SELECT id, rev, deleted, finished, doc FROM replays ORDER BY id`,
	store.SourcePinned:    `SELECT name, rev, doc FROM pinned ORDER BY name`,
	store.SourceAudit:     `SELECT num, at, tenant, doc FROM audit ORDER BY num`,
	store.SourceChanges:   `SELECT scope, key, at, fingerprint, answer FROM requests ORDER BY scope, key`,
	store.SourceMarks:     `SELECT endpoint, event, tail FROM lanes ORDER BY endpoint`,
	store.SourceExpired:   `SELECT endpoint, count FROM expired ORDER BY endpoint`,

	store.SourceRequests:   `SELECT scope, key, at, fingerprint, answer FROM requests ORDER BY id`,
	store.SourceEvents:     `SELECT id, tail, tenant, number, time, revision, type, targets, data, key, fingerprint, previous, metadata, ordering FROM events WHERE id >= ? AND id < ? ORDER BY id`,
	store.SourceAttempts:   `SELECT event, endpoint, id & 65535, at, state, status, class, detail FROM attempts WHERE id >= ? << 16 AND id < ? << 16 ORDER BY id`,
	store.SourceDeliveries: `SELECT event, endpoint, tenant, first_at, next_at, attempts, base, state, manual, reason FROM deliveries WHERE number >= ? AND number < ? ORDER BY number`,
	store.SourceBodies:     `SELECT d.event, d.endpoint, b.body FROM bodies AS b CROSS JOIN deliveries AS d ON d.number = b.number WHERE b.number >= ? AND b.number < ? ORDER BY b.number`,
}

// Rows are the rows of a table.
func (s *Source) Rows(ctx context.Context, table store.SourceTable, from, until int64) store.SourceRows {
	return func(yield func([]any, error) bool) {
		r := &sourceReader{ctx: ctx, table: table, yield: yield}
		if err := s.read(r, from, until); err != nil && !r.ended {
			yield(nil, fmt.Errorf("read %s: %w", table, err))
		}
	}
}

// sourceReader gives rows to whoever asked for them.
type sourceReader struct {
	ctx   context.Context
	table store.SourceTable
	yield func([]any, error) bool
	n     int
	ended bool // nobody wants more
}

func (s *Source) read(r *sourceReader, from, until int64) error {
	switch r.table {
	case store.SourceRequests, store.SourceEvents, store.SourceAttempts, store.SourceDeliveries, store.SourceBodies:
	default:
		return r.all(s.control)
	}
	for i, first := range s.segments {
		if r.ended || first >= until {
			return nil
		}
		if i+1 < len(s.segments) && s.segments[i+1] <= from && r.table != store.SourceRequests {
			continue
		}
		c, err := s.segment(first)
		if err == nil {
			err = r.segment(c, from, until)
		}
		if err != nil {
			return fmt.Errorf("segment %d: %w", first, err)
		}
	}
	return nil
}

// segment gives the rows of a segment that belong to some events.
func (r *sourceReader) segment(c *connection, from, until int64) (err error) {
	switch r.table {
	case store.SourceRequests:
		return r.all(c)
	case store.SourceEvents:
		return r.all(c, from, until)
	}
	low, err := c.numberFrom(from)
	if err != nil {
		return err
	}
	high := int64(math.MaxInt64)
	if until < math.MaxInt64 {
		if high, err = c.numberFrom(until); err != nil {
			return err
		}
	}
	const most = math.MaxInt64 >> attemptBits // which the query for attempts shifts
	return r.all(c, min(low, most), min(high, most))
}

// all gives the rows of a query.
func (r *sourceReader) all(c *connection, args ...any) error {
	err := c.query(sourceQueries[r.table], args, func(st *sqlite3.Stmt) bool {
		if r.n++; r.n%1000 == 0 && r.ctx.Err() != nil {
			return false
		}
		r.ended = !r.yield(sourceRow(st, store.SourceColumns[r.table]), nil)
		return !r.ended
	})
	if err == nil && !r.ended {
		err = r.ctx.Err()
	}
	return err
}

// sourceRow is a row with the columns named.
func sourceRow(st *sqlite3.Stmt, columns []string) []any {
	row := make([]any, len(columns))
	for i, name := range columns {
		switch st.ColumnType(i) {
		case sqlite3.INTEGER:
			row[i] = st.ColumnInt64(i)
			if name == "deleted" || name == "manual" {
				row[i] = st.ColumnInt64(i) != 0
			}
		case sqlite3.TEXT:
			row[i] = st.ColumnText(i)
		case sqlite3.BLOB:
			row[i] = append([]byte{}, st.ColumnRawBlob(i)...)
		}
	}
	return row
}
