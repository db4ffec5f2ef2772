package sqlite

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
)

// full reports whether the active segment should end before the event seq.
func (s *Store) full(g *segment, seq int64) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.events == 0 {
		return false
	}
	if g.events >= int64(s.opts.SegmentEvents) || g.bytes >= s.opts.SegmentBytes {
		return true
	}
	return hook.EventIDFrom(seq, 0).Time().Sub(hook.EventIDFrom(g.oldest, 0).Time()) >= s.opts.SegmentAge
}

// prepare makes the file of the next segment, so that the rotation has little
// to do: no schema, no waiting for the disk.
func (s *Store) prepare() error {
	s.preparing.Lock()
	defer s.preparing.Unlock()
	return s.prepareLocked()
}

func (s *Store) prepareLocked() error {
	if s.prepared {
		return nil
	}
	path := s.preparedPath()
	if err := s.removeDatabase(path); err != nil {
		return err
	}
	c, err := s.open(path, role{create: true, cache: readerCache, checkpoint: lateCheckpoint})
	if err != nil {
		return err
	}
	err = segmentDB.migrate(c)
	if err == nil {
		_, _, err = c.db.WALCheckpoint("", sqlite3.CHECKPOINT_TRUNCATE)
	}
	c.close()
	if err != nil {
		return fmt.Errorf("prepare a segment: %w", wrap(err))
	}
	// Renamed alone, a log that was left behind would be lost with what it has.
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		return fmt.Errorf("prepare a segment: its log is not empty")
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := s.remove(path + suffix); err != nil {
			return err
		}
	}
	s.prepared = true
	return nil
}

// adoptPrepared gives the prepared file its name.
func (s *Store) adoptPrepared(first int64) error {
	s.preparing.Lock()
	defer s.preparing.Unlock()
	if err := s.prepareLocked(); err != nil {
		return err
	}
	// A rotation that failed half-way may have left a file, and a log that does
	// not belong to the one that comes now.
	if err := s.removeDatabase(s.segmentPath(first)); err != nil {
		return err
	}
	if err := s.rename(s.preparedPath(), s.segmentPath(first)); err != nil {
		return err
	}
	s.prepared = false
	return s.syncDir(filepath.Join(s.dir, segmentDir))
}

// rotate makes a new segment for the events from first on the active one.
func (s *Store) rotate(first int64) error {
	if err := s.adoptPrepared(first); err != nil {
		return fmt.Errorf("begin segment %d: %w", first, wrapOS(err))
	}
	g := s.newSegment(first)
	var err error
	if g.w, err = g.openWriter(); err == nil {
		err = g.load(g.w)
	}
	if err != nil {
		g.w.close()
		return fmt.Errorf("begin segment %d: %w", first, err)
	}
	s.change.Lock()
	list := append(s.list()[:len(s.list()):len(s.list())], g)
	s.segments.Store(&list)
	s.change.Unlock()
	s.health.set(list[len(list)-2], nil)
	s.kick()
	return nil
}

// kick tells the keeper that there is something to do.
func (s *Store) kick() {
	select {
	case s.upkeep <- struct{}{}:
	default:
	}
}
