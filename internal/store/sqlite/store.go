package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3/vfs"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var _ store.Store = (*Store)(nil)

// Options say where the store is and how it is cut.
type Options struct {
	// Dir is the data folder. It is made if it is not there.
	Dir string
	// VFS is the name of a registered VFS to use; "" is the driver's own.
	VFS string
	// SegmentEvents, SegmentBytes and SegmentAge are what a segment may reach
	// before the next one begins. 0: 250,000 events, 512 MiB, 24 hours. The age
	// is counted from its first event to the one that would be added.
	SegmentEvents int
	SegmentBytes  int64
	SegmentAge    time.Duration
	// IdempotencyWindow is how long a key keeps Append from taking it again.
	// 0: 24 hours.
	IdempotencyWindow time.Duration
	// Compress has what events carry, the bodies kept for the next attempt and
	// those of answers compressed from now on. What is stored already is read
	// either way.
	Compress bool
	// Logger gets what happens in the background. nil: nothing is logged.
	Logger *slog.Logger
}

// withDefaults fills in what is not set.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("sqlite: no folder given")
	}
	if o.SegmentEvents < 0 || o.SegmentBytes < 0 || o.SegmentAge < 0 || o.IdempotencyWindow < 0 {
		return o, errors.New("sqlite: limits of a segment and the idempotency window cannot be negative")
	}
	if o.SegmentEvents == 0 {
		o.SegmentEvents = 250_000
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 512 << 20
	}
	if o.SegmentAge == 0 {
		o.SegmentAge = 24 * time.Hour
	}
	if o.IdempotencyWindow == 0 {
		o.IdempotencyWindow = 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Store is a folder of SQLite files. See the package's documentation.
type Store struct {
	dir    string
	vfs    string
	opts   Options
	log    *slog.Logger
	window time.Duration
	lock   *os.File

	control  *control
	seed     []byte
	token    int64
	revision atomic.Int64
	expired  atomic.Int64
	released atomic.Bool
	ticks    atomic.Int64 // of the keeper
	version  string       // of SQLite

	segments atomic.Pointer[[]*segment] // ascending; the last one is active
	change   sync.Mutex                 // held while the list changes

	mu         sync.Mutex
	last       hook.EventID
	nextNumber int64

	gate   sync.RWMutex // held by calls, and by Close
	closed bool

	writes  chan *op
	late    chan *op
	moves   chan *segment
	upkeep  chan struct{}
	stop    chan struct{}
	writers sync.WaitGroup
	keeper  sync.WaitGroup
	helper  sync.WaitGroup

	maintaining sync.Mutex
	preparing   sync.Mutex
	prepared    bool

	removing  sync.Mutex // held while files of segments go, and by a backup
	backingUp sync.Mutex
	closing   chan struct{} // closed first of all by Close

	pool      pool
	shared    sharedEvents
	lanesScan int // maxLanesScan, but in tests
	health    health
	packers   sync.Pool
}

// Open takes the folder and opens the store in it. store.ErrLocked: another
// process has it; store.ErrNewer: it was written by a later program.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(opts.Dir, segmentDir), 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := lockFolder(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		dir: opts.Dir, opts: opts, log: opts.Logger, window: opts.IdempotencyWindow,
		lock:   lock,
		writes: make(chan *op, gather), late: make(chan *op, gather), moves: make(chan *segment, 1), upkeep: make(chan struct{}, 1), stop: make(chan struct{}),
		closing: make(chan struct{}), lanesScan: maxLanesScan,
	}
	if err := s.registerVFS(); err != nil {
		lock.Close()
		return nil, err
	}
	s.pool.init()
	s.packers.New = func() any { return &codec.Packer{On: opts.Compress} }
	s.segments.Store(&[]*segment{})
	if err := s.start(ctx); err != nil {
		s.shut()
		return nil, fmt.Errorf("open store in %s: %w", opts.Dir, err)
	}
	s.writers.Go(s.writeActive)
	s.writers.Go(s.writeLate)
	s.keeper.Go(s.keep)
	s.helper.Go(s.moveAhead)
	return s, nil
}

// registerVFS makes the store's own file system known to SQLite while the store
// is open.
func (s *Store) registerVFS() error {
	inner, ok := vfs.Find(s.opts.VFS).(vfs.VFSFilename)
	if !ok {
		return fmt.Errorf("sqlite: there is no VFS %q to use", s.opts.VFS)
	}
	s.vfs = fmt.Sprintf("grapnel-%p", s)
	vfs.Register(s.vfs, newWriteBack(inner))
	vfs.Register(s.scratchVFS(), scratch{inner})
	return nil
}

// start opens what is in the folder.
func (s *Store) start(ctx context.Context) error {
	if err := s.checkControl(); err != nil {
		return err
	}
	var err error
	if s.control, err = s.openControl(); err != nil {
		return err
	}
	if err := s.removeCounted(); err != nil {
		return err
	}
	if err := os.RemoveAll(s.scratchDir()); err != nil { // of a backup that a crash cut short
		return err
	}
	if err := s.keepReserve(); err != nil {
		s.log.Warn("cannot make the reserve", "error", err)
	}
	firsts, err := s.listFiles()
	if err != nil {
		return err
	}
	if len(firsts) == 0 {
		if err := s.prepare(); err != nil {
			return err
		}
		if err := s.adoptPrepared(0); err != nil {
			return err
		}
		firsts = []int64{0}
	}
	var list []*segment
	for i, first := range firsts {
		if err := ctx.Err(); err != nil {
			return err
		}
		g, err := s.openSegment(first, len(firsts)-i > keptFilters)
		if err != nil {
			return err
		}
		list = append(list, g)
		s.segments.Store(&list)
		s.adopt(g)
	}
	if err := s.checkEnd(ctx); err != nil {
		return err
	}
	active := s.active()
	active.mu.RLock()
	sealed := active.index == nil
	active.mu.RUnlock()
	if sealed { // a crash came between a rotation and its first event's commit, and somebody removed the file
		if err := s.rotate(active.last + 1); err != nil {
			return err
		}
	}
	active = s.active()
	if err := active.writer(); err != nil {
		return err
	}
	if s.version, err = active.w.text(`SELECT sqlite_version()`); err != nil {
		return err
	}
	return nil
}

// checkControl refuses a folder with a log but without its configuration: a new
// one would make everything in the log nobody's.
func (s *Store) checkControl() error {
	if info, err := os.Stat(filepath.Join(s.dir, controlName)); err == nil && info.Size() > 0 {
		return nil
	}
	firsts, err := s.listFiles()
	if err == nil && len(firsts) > 0 {
		err = fmt.Errorf("%s is missing or empty, but there are events in %s: restore the folder from a backup, or begin with an empty one", controlName, segmentDir)
	}
	return err
}

// checkEnd refuses a log that ends before the last checkpoint: files are
// missing, and going on would lose what was in them without a word.
func (s *Store) checkEnd(ctx context.Context) error {
	p, err := s.progress(ctx)
	if err != nil {
		return err
	}
	end := max(s.last.Seq(), s.active().first-1)
	if p.Floor.Seq() <= end+1 {
		return nil
	}
	return fmt.Errorf("the log in %s ends at %s, but events up to %s had been delivered or recorded: files are missing or empty; restore the folder from a backup, or begin with an empty one",
		segmentDir, hook.EventIDFrom(max(end, 0), 0).Time().Format(time.RFC3339), p.Floor.Time().Format(time.RFC3339))
}

// listFiles lists the firsts of the segments in the folder, ascending.
func (s *Store) listFiles() ([]int64, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, segmentDir))
	if err != nil {
		return nil, err
	}
	var firsts []int64
	for _, e := range entries {
		if first, ok := parseSegmentName(e.Name()); ok {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

func (s *Store) newSegment(first int64) *segment {
	return &segment{s: s, first: first, path: s.segmentPath(first), pending: map[hook.EndpointNum]lanePending{}}
}

// openSegment opens a segment, brings its schema up to date and loads what is
// kept in memory of it.
func (s *Store) openSegment(first int64, old bool) (*segment, error) {
	g := s.newSegment(first)
	g.old = old
	c, err := s.open(g.path, role{cache: readerCache, checkpoint: neverCheckpoint})
	if err != nil {
		return nil, err
	}
	if err = segmentDB.migrate(c); err == nil {
		err = g.load(c)
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%s: %w", filepath.Base(g.path), err)
	}
	s.pool.give(g, c)
	return g, nil
}

// list is the segments, ascending. The last one is active.
func (s *Store) list() []*segment { return *s.segments.Load() }

func (s *Store) active() *segment {
	l := s.list()
	return l[len(l)-1]
}

// find is the segment that an event belongs to; nil if it is gone.
func (s *Store) find(seq int64) *segment {
	l := s.list()
	i := sort.Search(len(l), func(i int) bool { return l[i].first > seq })
	if i == 0 {
		return nil
	}
	return l[i-1]
}

// newest lists the segments, newest first.
func (s *Store) newest() []*segment {
	l := slices.Clone(s.list())
	slices.Reverse(l)
	return l
}

// adopt lets the store's last event and next number follow a segment.
func (s *Store) adopt(g *segment) {
	g.mu.RLock()
	last, tail, next := g.last, g.lastTail, g.nextNumber
	g.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if last > 0 && (s.last.IsZero() || last > s.last.Seq()) {
		s.last = hook.EventIDFrom(last, uint64(tail))
	}
	s.nextNumber = max(s.nextNumber, next)
}

// begin starts a transaction's record of what it changes in memory.
func (s *Store) begin(g *segment) *tx {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &tx{g: g, c: g.w, last: s.last, nextNumber: s.nextNumber, pack: codec.Packer{On: s.opts.Compress}}
}

// enter lets a call in, unless the store is closed. leave ends it.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.gate.RLock()
	if s.closed {
		s.gate.RUnlock()
		return store.ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.gate.RUnlock() }

// Close waits for running calls, ends the background work and lets go of the
// folder. A second Close does nothing.
func (s *Store) Close() error {
	s.endBackup()
	s.gate.Lock()
	if s.closed {
		s.gate.Unlock()
		return nil
	}
	s.closed = true
	s.gate.Unlock()
	close(s.stop)
	s.keeper.Wait()
	close(s.writes)
	close(s.late)
	s.writers.Wait()
	close(s.moves)
	s.helper.Wait()
	s.shut()
	return nil
}

// shut closes all connections and gives the folder back.
func (s *Store) shut() {
	s.pool.close()
	for _, g := range s.list() {
		g.writing.Lock()
		g.w.close()
		g.w = nil
		g.writing.Unlock()
	}
	if s.control != nil {
		s.control.close()
	}
	vfs.Unregister(s.vfs)
	vfs.Unregister(s.scratchVFS())
	s.lock.Close()
}

// health remembers why writing fails, by who found out.
type health struct {
	mu     sync.Mutex
	broken map[any]error
}

// set notes the state of a writer; nil: it works.
func (h *health) set(who any, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.broken, who)
		return
	}
	if h.broken == nil {
		h.broken = map[any]error{}
	}
	h.broken[who] = err
}

// problem is why writing fails, "" if it does not.
func (h *health) problem() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, err := range h.broken {
		return err.Error()
	}
	return ""
}
