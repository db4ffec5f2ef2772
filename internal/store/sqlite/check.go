package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Finding is one thing that is wrong with a folder.
type Finding struct {
	File    string
	Problem string
	Advice  string
}

// Report is what Check found.
type Report struct {
	Findings []Finding
	Files    []FileInfo
	Bytes    int64
	// Configuration is what control.db holds; nil if it cannot be read.
	Configuration *store.Configuration
}

// FileInfo is a database of a folder.
type FileInfo struct {
	Name    string
	Kind    string
	Schema  int64 // version it has
	Current int64 // version that this program brings it to
	Bytes   int64
	Events  int64
}

const adviceRestore = "restore the folder from a backup; keep the damaged one aside until that is done"

// checker goes through a folder.
type checker struct {
	ctx    context.Context
	dir    string
	tell   func(file string)
	report Report
	end    int64 // highest event id
	last   int64 // last segment's first
	floor  int64
	// Every delivery number that retention has taken out of the log is below.
	removed int64
	gone    []int64 // firsts whose files may be gone
}

// Check goes through all databases of a folder that no process has open, and
// says what is wrong. It changes nothing. tell, if not nil, is told which file
// comes next. An error means that it could not look.
func Check(ctx context.Context, dir string, tell func(file string)) (*Report, error) {
	unlock, err := holdFolder(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if tell == nil {
		tell = func(string) {}
	}
	c := &checker{ctx: ctx, dir: dir, tell: tell}
	if err := c.control(); err != nil {
		return nil, err
	}
	if err := c.segments(); err != nil {
		return nil, err
	}
	if end := max(c.end, c.last-1); c.floor > end+1 {
		c.find(controlName, fmt.Sprintf("it says that events up to %s were delivered or recorded, but the log ends at %s: files of the log are missing",
			hook.EventIDFrom(c.floor, 0).Time().Format(timeForm), hook.EventIDFrom(max(end, 0), 0).Time().Format(timeForm)), adviceRestore)
	}
	return &c.report, c.ctx.Err()
}

const timeForm = "2006-01-02T15:04:05Z"

// holdFolder takes a folder's lock, if it is there, and the folder is one.
func holdFolder(dir string) (unlock func(), err error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("check %s: there is no such folder", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
		return func() {}, nil // nobody has ever opened it
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	return func() { lock.Close() }, nil
}

func (c *checker) find(file, problem, advice string) {
	c.report.Findings = append(c.report.Findings, Finding{file, problem, advice})
}

// control looks at control.db.
func (c *checker) control() error {
	if _, err := os.Stat(filepath.Join(c.dir, controlName)); err != nil {
		c.find(controlName, "is missing", adviceRestore)
		return nil
	}
	return c.database(controlName, controlDB, func(db *connection) (FileInfo, error) {
		meta, err := db.meta()
		if err != nil {
			return FileInfo{}, err
		}
		c.floor, c.removed = meta["floor"], meta["next_number"]
		err = db.query(`SELECT first FROM removed`, nil, func(st *sqlite3.Stmt) bool {
			c.gone = append(c.gone, st.ColumnInt64(0))
			return true
		})
		if err != nil {
			return FileInfo{}, err
		}
		conf, err := db.configuration(0)
		if err == nil {
			c.report.Configuration = conf
		}
		return FileInfo{}, err
	})
}

// segments looks at the files of the log.
func (c *checker) segments() error {
	entries, err := os.ReadDir(filepath.Join(c.dir, segmentDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	number := int64(1) // after the last delivery so far
	for _, e := range entries {
		first, ok := parseSegmentName(e.Name())
		if !ok || slices.Contains(c.gone, first) {
			continue
		}
		name := path.Join(segmentDir, e.Name())
		c.last = max(c.last, first)
		err := c.database(name, segmentDB, func(db *connection) (FileInfo, error) { return c.segment(db, name, first, &number) })
		if err != nil {
			return err
		}
	}
	return nil
}

// segment reads all of a segment: every row has to be readable, in order, and to
// belong there.
func (c *checker) segment(db *connection, name string, first int64, number *int64) (info FileInfo, err error) {
	if err := c.events(db, name, first, number, &info); err != nil {
		return info, err
	}
	var bad error
	last, n := int64(-1), 0
	err = db.query(`SELECT id, detail FROM attempts ORDER BY id`, nil, func(st *sqlite3.Stmt) bool {
		var a hook.Attempt
		bad = codec.ParseDetail(st.ColumnRawBlob(1), &a)
		last, n = st.ColumnInt64(0), n+1
		return bad == nil && (n%1000 != 0 || c.ctx.Err() == nil)
	})
	if bad != nil {
		return info, fmt.Errorf("attempt %d: %w", last, bad)
	}
	if err != nil {
		return info, err
	}
	if err := c.values(db); err != nil {
		return info, err
	}
	strays, err := db.int(`SELECT count(*) FROM deliveries d WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = d.event)`)
	if err == nil && strays > 0 {
		c.find(name, fmt.Sprintf("%d deliveries belong to no event", strays), adviceRestore)
	}
	return info, err
}

// values reads all that may be compressed.
func (c *checker) values(db *connection) error {
	for _, q := range []struct{ what, sql string }{
		{"event", `SELECT id, data, previous, metadata FROM events`},
		{"the body of delivery", `SELECT number, body, NULL, NULL FROM bodies`},
	} {
		var bad error
		n := 0
		err := db.query(q.sql, nil, func(st *sqlite3.Stmt) bool {
			for i := 1; i <= 3 && bad == nil; i++ {
				if raw := st.ColumnRawBlob(i); codec.IsPacked(raw) {
					_, bad = codec.Unpack(raw)
				}
			}
			if bad != nil {
				bad = fmt.Errorf("%s %d: %w", q.what, st.ColumnInt64(0), bad)
			}
			n++
			return bad == nil && (n%1000 != 0 || c.ctx.Err() == nil)
		})
		if err := errors.Join(err, bad, c.ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) events(db *connection, name string, first int64, number *int64, info *FileInfo) error {
	var bad error
	err := db.query(`SELECT id, tail, tenant, type, number, targets FROM events ORDER BY id`, nil, func(st *sqlite3.Stmt) bool {
		var e *hook.Event
		if e, bad = scanOutline(st); bad != nil {
			return false
		}
		switch id := e.ID.Seq(); {
		case id < first || id <= c.end:
			bad = fmt.Errorf("event %s is not where it belongs", e.ID)
		case e.Number < *number:
			bad = fmt.Errorf("event %s has delivery numbers of another one", e.ID)
		case e.Number > max(*number, c.removed) && len(c.report.Findings) == 0:
			c.find(name, fmt.Sprintf("the deliveries before it are missing, numbers %d to %d: a file of the log is gone", *number, e.Number-1), adviceRestore)
			fallthrough
		default:
			c.end, *number = id, e.Number+int64(len(e.Targets))
		}
		info.Events++
		return bad == nil && (info.Events%1000 != 0 || c.ctx.Err() == nil)
	})
	return errors.Join(err, bad, c.ctx.Err())
}

// database looks at one file, then lets look read what is in it. What cannot be
// read is a finding.
func (c *checker) database(name string, k kind, look func(*connection) (FileInfo, error)) error {
	c.tell(name)
	file := filepath.Join(c.dir, filepath.FromSlash(name))
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	c.report.Bytes += info.Size()
	db, err := openToRead(file)
	if err != nil {
		c.find(name, err.Error(), adviceRestore)
		return nil
	}
	defer db.close()
	steps, err := k.steps()
	if err != nil {
		return err
	}
	out, err := c.contents(db, name, k, look)
	if err := c.ctx.Err(); err != nil {
		return err
	}
	switch {
	case errors.Is(err, store.ErrNewer):
		c.find(name, err.Error(), "use the version of Grapnel that wrote it, or a later one")
	case err != nil:
		c.find(name, err.Error(), adviceRestore)
	}
	out.Name, out.Kind, out.Current, out.Bytes = name, k.name, int64(len(steps)), info.Size()
	c.report.Files = append(c.report.Files, out)
	return nil
}

func (c *checker) contents(db *connection, name string, k kind, look func(*connection) (FileInfo, error)) (out FileInfo, err error) {
	defer func() {
		if r := recover(); r != nil { // the driver panics on what it cannot go on from
			err = fmt.Errorf("it cannot be read: %v", r)
		}
	}()
	pending, err := k.check(db)
	if err != nil {
		return out, err
	}
	version, err := db.int(`PRAGMA user_version`)
	if err != nil {
		return out, err
	}
	problems := 0
	err = db.query(`PRAGMA integrity_check(5)`, nil, func(st *sqlite3.Stmt) bool {
		if text := st.ColumnText(0); text != "ok" {
			c.find(name, text, adviceRestore)
			problems++
		}
		return true
	})
	if err != nil || problems > 0 {
		return FileInfo{Schema: version}, err
	}
	if len(pending) > 0 { // an earlier program's: its tables may be other ones
		return FileInfo{Schema: version}, nil
	}
	out, err = look(db)
	out.Schema = version
	return out, err
}

// openToRead opens a database without changing it. Without a log beside it the
// file is all there is.
func openToRead(file string) (*connection, error) {
	name := "file:" + (&url.URL{Path: file}).EscapedPath() + "?mode=ro"
	if info, err := os.Stat(file + "-wal"); err != nil || info.Size() == 0 {
		name += "&immutable=1"
	}
	db, err := sqlite3.OpenFlags(name, sqlite3.OPEN_READONLY|sqlite3.OPEN_URI)
	if err != nil {
		return nil, wrap(err)
	}
	return &connection{db: db, stmts: map[string]*sqlite3.Stmt{}}, nil
}
