package sqlite

import (
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

const (
	// checkpointPages is how long the active segment's log may get before it is
	// moved into the file: 16 MiB. Longer was not faster.
	checkpointPages = 4000
	// nearPages is how much of the log may be left for the writer itself to move.
	nearPages = 300
	// passes is how often the helper tries to get that near.
	passes = 4
)

// mover is the state of moving the active segment's log into its file. A helper
// moves most of it while the writer goes on, and syncs the file; then the writer
// moves the little that came meanwhile, between two transactions, for only when
// all is moved can the log begin anew. One that did it alone would stall for
// tenths of a second; a helper alone would never get to the end.
type mover struct {
	pages int  // of the log, after the last commit
	at    int  // when to begin
	busy  bool // the helper is at it
	near  chan struct{}
}

// watch lets the mover know of each commit's log.
func (g *segment) watch(c *connection) {
	if g.mover.near == nil {
		g.mover.near = make(chan struct{}, 1)
		g.mover.at = checkpointPages
	}
	c.db.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
		g.mover.pages = pages
		return nil
	})
}

// move does what is next. Called by the writer, with writing held.
func (g *segment) move() {
	m := &g.mover
	if m.near == nil { // never was active
		return
	}
	if m.busy {
		select {
		case <-m.near:
			m.busy = false
			g.moveRest()
		default:
		}
		return
	}
	if g.w == nil || g.suspect || m.pages < m.at {
		return
	}
	select {
	case g.s.moves <- g:
		m.busy = true
	default:
	}
}

// moveRest ends a checkpoint. If a reader is in the way the log goes on growing
// and it is tried again later.
func (g *segment) moveRest() {
	if g.w == nil || g.suspect {
		return
	}
	m := &g.mover
	length, moved, err := g.w.db.WALCheckpoint("", sqlite3.CHECKPOINT_PASSIVE)
	if err != nil {
		g.s.log.Warn("checkpoint failed", "segment", filepath.Base(g.path), "error", err)
	}
	if err == nil && moved == length {
		m.pages, m.at = 0, checkpointPages
		return
	}
	m.at = m.pages + checkpointPages
	if m.at >= 8*checkpointPages {
		g.s.log.Warn("the log of the active segment grows: something reads it for long", "segment", filepath.Base(g.path), "pages", m.pages)
	}
}

// moveAhead is the helper.
func (s *Store) moveAhead() {
	for g := range s.moves {
		if err := g.moveMost(); err != nil {
			s.log.Warn("checkpoint failed", "segment", filepath.Base(g.path), "error", err)
		}
		g.mover.near <- struct{}{}
	}
}

// moveMost moves the log until the writer is only little ahead, and syncs the
// file, so that the writer does not have to wait for that.
func (g *segment) moveMost() error {
	c, err := g.s.open(g.path, role{cache: readerCache, checkpoint: neverCheckpoint, moves: true})
	if err != nil {
		return err
	}
	defer c.close()
	last := 0
	for range passes {
		length, _, err := c.db.WALCheckpoint("", sqlite3.CHECKPOINT_PASSIVE)
		if err != nil {
			return wrap(err)
		}
		f, err := c.db.FileControl("", sqlite3.FCNTL_FILE_POINTER)
		if err != nil {
			return wrap(err)
		}
		if f, ok := f.(vfs.File); ok {
			if err := f.Sync(vfs.SYNC_FULL); err != nil {
				return wrap(err)
			}
		}
		if length-last < nearPages {
			break
		}
		last = length
	}
	return nil
}
