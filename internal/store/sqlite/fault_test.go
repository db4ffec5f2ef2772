package sqlite_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/store/sqlite/faultvfs"
)

// script drives a store and keeps what it was told: what was acknowledged, and
// what was refused for good.
type script struct {
	*testing.T
	f       *folder
	lease   store.Lease
	seq     int64
	acked   []*hook.Event
	states  map[hook.DeliveryKey]hook.DeliveryState
	maybe   map[hook.DeliveryKey]hook.DeliveryState // asked for when the files went
	refused []*hook.Event
	errs    int
}

func newScript(t *testing.T, f *folder) *script {
	s := &script{T: t, f: f, states: map[hook.DeliveryKey]hook.DeliveryState{}, maybe: map[hook.DeliveryKey]hook.DeliveryState{}}
	s.acquire()
	return s
}

func (s *script) acquire() {
	s.Helper()
	var err error
	if s.lease, err = s.f.st.Acquire(s.Context(), "n"); err != nil {
		s.Fatal(err)
	}
}

// cut ends a scripted run whose files are gone.
type cut struct{}

// dead ends the run if the files are gone.
func (s *script) dead() {
	if s.f.fs.Dead() {
		panic(cut{})
	}
}

// runUntilCut runs until the end, or until the files go.
func (s *script) runUntilCut() {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(cut); !ok {
				panic(r)
			}
		}
	}()
	s.run()
}

// refusedAs checks that an error is one that callers know.
func (s *script) refusedAs(err error) {
	s.Helper()
	s.errs++
	if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrFull) {
		s.Fatalf("error of an unknown kind: %v", err)
	}
}

// append tries until an event is taken. Without a lasting fault the second try
// has to succeed: recovery needs no restart (case 18).
func (s *script) append() *hook.Event {
	s.Helper()
	for range 3 {
		e := s.event()
		err := s.f.st.Append(s.Context(), &store.Batch{Revision: 99, Events: []*hook.Event{e}})
		if err == nil {
			s.acked = append(s.acked, e)
			return e
		}
		s.dead()
		s.refusedAs(err)
		if !errors.Is(err, store.ErrUnknown) {
			s.refused = append(s.refused, e)
		}
	}
	s.Fatal("the store does not recover")
	return nil
}

func (s *script) event() *hook.Event {
	id := hook.NextEventID(s.seq, time.Unix(1_800_000_000, 0).Add(time.Duration(s.seq%1e6)), uint64(s.seq))
	s.seq = id.Seq()
	return &hook.Event{
		ID: id, Tenant: 1, Key: fmt.Sprint("k", s.seq), Type: "a.b", Time: id.Time(), Data: []byte(`{"some":"data"}`),
		Targets: []hook.Target{{Endpoint: 1}, {Endpoint: 2}},
	}
}

// record tries until an outcome is taken.
func (s *script) record(k hook.DeliveryKey, n int, state hook.DeliveryState) {
	s.Helper()
	o := &store.Outcome{Key: k, At: k.Event.Time(), State: state, NextAt: k.Event.Time().Add(time.Minute), Attempt: &hook.Attempt{Key: k, N: n, At: k.Event.Time(), State: state}}
	for range 3 {
		err := s.f.st.Record(s.Context(), s.lease, []*store.Outcome{o})
		if err == nil {
			s.states[k] = state
			return
		}
		s.maybe[k] = state
		s.dead()
		delete(s.maybe, k)
		s.refusedAs(err)
	}
	s.Fatal("the store does not recover")
}

// run is the scripted run: several segments, seals, late outcomes, a prune.
func (s *script) run() {
	s.Helper()
	for i := range 7 {
		e := s.append()
		s.record(hook.DeliveryKey{Event: e.ID, Endpoint: 1}, 1, hook.Delivered)
		s.record(hook.DeliveryKey{Event: e.ID, Endpoint: 2}, 1, hook.Pending)
		if i == 4 {
			if err := s.f.st.Settle(); err != nil {
				s.errs++
			}
			first := s.acked[0].ID
			s.record(hook.DeliveryKey{Event: first, Endpoint: 2}, 2, hook.Delivered)
		}
	}
	for range 3 {
		_, err := s.f.st.Configure(s.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "t"}}})
		if err == nil || hook.CodeOf(err) == hook.CodeConflict {
			break
		}
		s.dead()
		s.refusedAs(err)
	}
	for range 3 {
		err := s.f.st.Checkpoint(s.Context(), s.lease, store.Progress{Floor: s.acked[len(s.acked)-1].ID})
		if err == nil {
			break
		}
		s.dead()
		s.refusedAs(err)
	}
}

// check compares the store with what was said.
func (s *script) check(when string) {
	s.Helper()
	for _, e := range s.acked {
		got, err := s.f.st.Event(s.Context(), hook.AllTenants, e.ID)
		if err != nil {
			s.Fatalf("%s: acknowledged event is lost: %v", when, err)
		}
		if d := cmp.Diff(e, got); d != "" {
			s.Fatalf("%s: event changed:\n%s", when, d)
		}
	}
	for _, e := range s.refused {
		if _, err := s.f.st.Event(s.Context(), hook.AllTenants, e.ID); !errors.Is(err, store.ErrNotFound) {
			s.Fatalf("%s: refused event: %v", when, err)
		}
	}
	for k, want := range s.states {
		d, err := s.f.st.Delivery(s.Context(), hook.AllTenants, k)
		if err != nil || d.State != want && d.State != s.maybe[k] {
			s.Fatalf("%s: delivery is %+v (%v), want %v", when, d, err, want)
		}
	}
	page, err := s.f.st.Events(s.Context(), store.EventQuery{Tenant: hook.AllTenants, Limit: len(s.acked) + 100})
	if err != nil || len(page.Events) < len(s.acked) {
		s.Fatalf("%s: %d events are listed, %d were acknowledged: %v", when, len(page.Events), len(s.acked), err)
	}
	stats, err := s.f.st.Stats(s.Context())
	if err != nil || !stats.Writable {
		s.Fatalf("%s: stats are %+v, %v", when, stats, err)
	}
}

// Cases 17 and 18: the n-th call of each kind fails once, with an error of the disk, for
// want of room or because it is busy, for some n of a scripted run; with
// GRAPNEL_TEST_FAULTS=all for every n.
func TestEveryCallFailsOnce(t *testing.T) {
	t.Parallel()
	opts := sqlite.Options{SegmentEvents: 3}
	type kind struct {
		op   faultvfs.Op
		code sqlite3.ExtendedErrorCode
	}
	const full, busy, cannotOpen = sqlite3.ExtendedErrorCode(sqlite3.FULL), sqlite3.ExtendedErrorCode(sqlite3.BUSY), sqlite3.ExtendedErrorCode(sqlite3.CANTOPEN)
	kinds := []kind{{faultvfs.Read, sqlite3.IOERR_READ}, {faultvfs.Read, busy}, {faultvfs.Open, cannotOpen}, {faultvfs.Lock, sqlite3.IOERR_LOCK}, {faultvfs.Lock, busy}}
	for op, eio := range map[faultvfs.Op]sqlite3.ExtendedErrorCode{
		faultvfs.Write: sqlite3.IOERR_WRITE, faultvfs.Sync: sqlite3.IOERR_FSYNC, faultvfs.Truncate: sqlite3.IOERR_TRUNCATE, faultvfs.Open: sqlite3.ExtendedErrorCode(sqlite3.IOERR),
		faultvfs.Delete: sqlite3.IOERR_DELETE, faultvfs.Size: sqlite3.IOERR_FSTAT, faultvfs.Rename: sqlite3.ExtendedErrorCode(sqlite3.IOERR),
	} {
		kinds = append(kinds, kind{op, eio}, kind{op, full}, kind{op, busy})
	}
	clean := newFolder(t, opts)
	clean.open(t)
	before := map[faultvfs.Op]int{}
	for _, k := range kinds {
		before[k.op] = clean.fs.Count(k.op)
	}
	s := newScript(t, clean)
	s.run()
	s.check("without faults")
	for _, k := range kinds {
		calls := clean.fs.Count(k.op) - before[k.op]
		t.Run(fmt.Sprintf("%v_%v", k.op, k.code), func(t *testing.T) {
			t.Parallel()
			step := max(1, calls/3)
			if os.Getenv("GRAPNEL_TEST_FAULTS") == "all" {
				step = 1
			}
			hits := 0
			for n := 1; n <= calls; n += step {
				hits += failOnce(t, opts, k.op, n, k.code)
			}
			if hits == 0 {
				t.Fatal("no fault happened")
			}
			t.Logf("%d calls, %d faults", calls, hits)
		})
	}
}

func failOnce(t *testing.T, opts sqlite.Options, op faultvfs.Op, n int, code sqlite3.ExtendedErrorCode) int {
	t.Helper()
	f := newFolder(t, opts)
	f.open(t)
	defer func() { f.st.Close() }()
	f.fs.Fail(op, n, code)
	s := newScript(t, f)
	s.run()
	hits := f.fs.Hits()
	f.fs.Heal()
	s.check(fmt.Sprintf("after %v %d failed", op, n))
	f.crash(t)
	s.acquire()
	s.check(fmt.Sprintf("after %v %d failed and a crash", op, n))
	s.append()
	return hits
}

// Cases 17 and 18: a disk that is full, broken or busy for a while refuses writes, lets
// reads go on, and heals by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	f := newFolder(t, sqlite.Options{SegmentEvents: 5})
	f.open(t)
	s := newScript(t, f)
	e := s.append()
	for _, code := range []sqlite3.ErrorCode{sqlite3.FULL, sqlite3.IOERR, sqlite3.BUSY} {
		f.fs.FailAll(faultvfs.Write, code)
		for range 3 {
			refused := s.event()
			err := f.st.Append(t.Context(), &store.Batch{Revision: 99, Events: []*hook.Event{refused}})
			if code == sqlite3.FULL && !errors.Is(err, store.ErrFull) || err == nil {
				t.Fatalf("got %v", err)
			}
			if !errors.Is(err, store.ErrUnknown) {
				s.refused = append(s.refused, refused)
			}
		}
		if err := f.st.Record(t.Context(), s.lease, []*store.Outcome{{Key: hook.DeliveryKey{Event: e.ID, Endpoint: 1}, State: hook.Cancelled}}); err == nil {
			t.Fatal("an outcome was taken")
		}
		if _, err := f.st.Event(t.Context(), hook.AllTenants, e.ID); err != nil {
			t.Fatal(err)
		}
		stats, err := f.st.Stats(t.Context())
		if err != nil || stats.Writable || stats.Problem == "" {
			t.Fatalf("stats are %+v, %v", stats, err)
		}
		f.fs.Heal()
		for range 6 {
			s.append()
		}
		s.check("after the disk had room again")
	}
}

// Case 3: power is lost at a sync, with nothing, all, some or the beginning of
// what was not synced by then on the disk; with GRAPNEL_TEST_FAULTS=all at every sync of a
// scripted run. Everything acknowledged is there, and the start needs no help.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	opts := sqlite.Options{SegmentEvents: 3}
	for _, loss := range []struct {
		name string
		kind faultvfs.Loss
	}{{"LoseAll", faultvfs.LoseAll}, {"LoseNone", faultvfs.LoseNone}, {"LoseSome", faultvfs.LoseSome}, {"Tear", faultvfs.Tear}} {
		t.Run(loss.name, func(t *testing.T) {
			t.Parallel()
			step := 9
			if os.Getenv("GRAPNEL_TEST_FAULTS") == "all" {
				step = 1
			}
			for n, alive := 1, true; alive; n += step {
				alive = losePower(t, opts, n, loss.kind)
			}
		})
	}
}

// losePower reports whether the run was long enough for its n-th sync.
func losePower(t *testing.T, opts sqlite.Options, n int, loss faultvfs.Loss) bool {
	t.Helper()
	f := newFolder(t, opts)
	f.record = true
	s := &script{T: t, f: f, states: map[hook.DeliveryKey]hook.DeliveryState{}, maybe: map[hook.DeliveryKey]hook.DeliveryState{}}
	f.killAt = n
	if err := f.tryOpen(t); err == nil {
		s.acquire()
		s.runUntilCut()
		f.st.Close()
	}
	died := f.fs.Dead()
	after := newFolder(t, opts)
	if err := f.fs.LosePower(f.dir, after.dir, loss, rand.New(rand.NewPCG(uint64(n), 7))); err != nil {
		t.Fatal(err)
	}
	if err := after.tryOpen(t); err != nil {
		t.Fatalf("open after a loss at sync %d: %v", n, err)
	}
	defer after.st.Close()
	s.f = after
	s.acquire()
	s.check(fmt.Sprintf("after a loss at sync %d", n))
	s.append()
	for _, name := range after.files(t) {
		if got := ask(t, name, `PRAGMA integrity_check`); got != "ok" {
			t.Fatalf("after a loss at sync %d: %s: %s", n, name, got)
		}
	}
	return died
}
