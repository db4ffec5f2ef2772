package sqlite_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/store/sqlite/faultvfs"
)

// backlog is a folder with events that wait.
type backlog struct {
	*folder
	events []*hook.Event
	now    time.Time
}

// newBacklog fills five segments, the last of which is not sealed and as short
// whatever the others are: the lanes 1 to 4 take turns in them. Lane 9 has one
// event, in the third.
func newBacklog(t *testing.T, perSegment int) *backlog {
	b := &backlog{folder: newFolder(t, sqlite.Options{SegmentEvents: perSegment}), now: time.Unix(1_800_000_000, 0)}
	st := b.open(t)
	for i := range 4 {
		b.append(t, st, perSegment, i == 2)
	}
	b.append(t, st, 50, false)
	if err := st.Settle(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *backlog) append(t *testing.T, st *sqlite.Store, n int, nine bool) {
	t.Helper()
	var batch []*hook.Event
	last := int64(0)
	if len(b.events) > 0 {
		last = b.events[len(b.events)-1].ID.Seq()
	}
	for i := range n {
		b.now = b.now.Add(time.Millisecond)
		id := hook.NextEventID(last, b.now, uint64(i))
		last = id.Seq()
		e := &hook.Event{ID: id, Tenant: 1, Type: "a", Time: b.now, Data: []byte(`{}`), Targets: []hook.Target{{Endpoint: hook.EndpointNum(1 + i%4)}}}
		if nine && i == n/2 {
			e.Targets = append(e.Targets, hook.Target{Endpoint: 9})
		}
		batch = append(batch, e)
	}
	if err := st.Append(t.Context(), &store.Batch{Events: batch}); err != nil {
		t.Fatal(err)
	}
	b.events = append(b.events, batch...)
}

// of lists the events of a lane.
func (b *backlog) of(e hook.EndpointNum) (ids []hook.EventID) {
	for _, ev := range b.events {
		if _, ok := ev.Target(e); ok {
			ids = append(ids, ev.ID)
		}
	}
	return ids
}

// start opens the folder as a server does, up to the first page of each lane. It
// returns how many reads of files that took.
func (b *backlog) start(t *testing.T, lookAt int) (st *sqlite.Store, lanes []store.Lane, reads int) {
	t.Helper()
	st = b.reopen(t)
	st.LookAt(lookAt)
	lease, err := st.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if lanes, err = st.Lanes(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	for _, l := range lanes {
		if _, err := st.Fresh(t.Context(), store.FreshQuery{Endpoint: l.Endpoint, From: l.Fresh, Limit: 8}); err != nil {
			t.Fatal(err)
		}
	}
	return st, lanes, b.fs.Count(faultvfs.Read)
}

// drain reads all pages of a lane, of so many deliveries.
func drain(t *testing.T, st *sqlite.Store, l store.Lane, limit int) (ids []hook.EventID) {
	t.Helper()
	for from := l.Fresh; !from.IsZero(); {
		p, err := st.Fresh(t.Context(), store.FreshQuery{Endpoint: l.Endpoint, From: from, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range p.Work {
			ids = append(ids, w.Event.ID)
		}
		from = p.Next
	}
	return ids
}

// check sees to it that every lane is listed, with how much waits and from where
// on all of it is found.
func (b *backlog) check(t *testing.T, st *sqlite.Store, lanes []store.Lane) {
	t.Helper()
	if len(lanes) != 5 {
		t.Fatalf("%d lanes are listed, want 5: %+v", len(lanes), lanes)
	}
	for _, l := range lanes {
		want := b.of(l.Endpoint)
		if got := drain(t, st, l, 100); !slices.Equal(got, want) {
			t.Errorf("lane %d has %d fresh from %v on, want %d", l.Endpoint, len(got), l.Fresh, len(want))
		}
		if l.Waiting != int64(len(want)) {
			t.Errorf("in lane %d about %d wait, want %d", l.Endpoint, l.Waiting, len(want))
		}
	}
}

// case 59: what a start reads does not grow with what waits, whether dispatch has
// told that its lanes are behind or nothing is known at all.
func TestStartReadsLittleOfABacklog(t *testing.T) {
	t.Parallel()
	const lookAt = 200
	reads := map[string][]int{}
	for _, perSegment := range []int{400, 6400} {
		b := newBacklog(t, perSegment)
		st, lanes, n := b.start(t, lookAt)
		b.check(t, st, lanes)
		reads["without progress"] = append(reads["without progress"], n)

		lease, err := st.Acquire(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		p := store.Progress{Floor: hook.EventIDFrom(b.events[len(b.events)-1].ID.Seq()+1, 0)}
		for _, l := range lanes {
			p.Behind = append(p.Behind, store.LaneMark{Endpoint: l.Endpoint, From: b.of(l.Endpoint)[0]})
		}
		if err := st.Checkpoint(t.Context(), lease, p); err != nil {
			t.Fatal(err)
		}
		st, lanes, n = b.start(t, lookAt)
		b.check(t, st, lanes)
		reads["behind"] = append(reads["behind"], n)
	}
	for what, n := range reads {
		if n[1] > 2*n[0] { // lists of more lines, trees that are deeper
			t.Errorf("%s: with 16 times as many that wait a start reads %d times instead of %d", what, n[1], n[0])
		}
	}
}

// A lane of which there is little in each of many segments gets short pages.
func TestPagesReadFewSegments(t *testing.T) {
	t.Parallel()
	b := newBacklog(t, 10)
	for range 6 {
		b.append(t, b.st, 10, false)
	}
	if err := b.st.Settle(); err != nil {
		t.Fatal(err)
	}
	p, err := b.st.Fresh(t.Context(), store.FreshQuery{Endpoint: 1, From: b.events[0].ID, Limit: 1000})
	if err != nil || len(p.Work) > 20 || p.Next.IsZero() {
		t.Errorf("a page has %d deliveries, next %v, %v", len(p.Work), p.Next, err)
	}
	if got, want := drain(t, b.st, store.Lane{Endpoint: 1, Fresh: b.events[0].ID}, 100), b.of(1); !slices.Equal(got, want) {
		t.Errorf("pages have %d deliveries, want %d", len(got), len(want))
	}
}

// An event that a damaged segment lists but does not have is an error, not a page
// that begins there again and again.
func TestPagesOfADamagedSegment(t *testing.T) {
	t.Parallel()
	b := newBacklog(t, 12)
	if err := b.st.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite3.Open("file:" + b.files(t)[0])
	if err == nil {
		err = errors.Join(db.Exec(fmt.Sprint("DELETE FROM events WHERE id = ", b.of(1)[1].Seq())), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	st := b.open(t)
	if p, err := st.Fresh(t.Context(), store.FreshQuery{Endpoint: 1, From: b.events[0].ID, Limit: 100}); err == nil {
		t.Errorf("a page of %d, next %v", len(p.Work), p.Next)
	}
}

// Lanes that read the same event get the same copy of it.
func TestLanesShareEvents(t *testing.T) {
	t.Parallel()
	b := newBacklog(t, 20)
	var got []*hook.Event
	for _, e := range []hook.EndpointNum{9, 9} {
		p, err := b.st.Fresh(t.Context(), store.FreshQuery{Endpoint: e, From: b.events[0].ID, Limit: 1})
		if err != nil || len(p.Work) != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		got = append(got, p.Work[0].Event)
	}
	if got[0] != got[1] {
		t.Error("an event with two targets was read twice")
	}
}

// Lanes begin no later than at their first fresh delivery, wherever Lanes stops
// looking: what was recorded, what dispatch had told, and which segments are sealed
// does not matter.
func TestLanesBeginEarlyEnough(t *testing.T) {
	t.Parallel()
	b := &backlog{folder: newFolder(t, sqlite.Options{SegmentEvents: 12}), now: time.Unix(1_800_000_000, 0)}
	st := b.open(t)
	random := rand.New(rand.NewPCG(1, 2))
	fresh := map[hook.DeliveryKey]bool{}
	for round := range 15 {
		from := len(b.events)
		b.append(t, st, 1+random.IntN(20), random.IntN(3) == 0)
		for _, e := range b.events[from:] {
			for _, target := range e.Targets {
				fresh[hook.DeliveryKey{Event: e.ID, Endpoint: target.Endpoint}] = true
			}
		}
		if random.IntN(2) == 0 {
			if err := st.Settle(); err != nil {
				t.Fatal(err)
			}
		}
		lease, err := st.Acquire(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		b.recordSome(t, st, lease, random, fresh)
		if random.IntN(4) == 0 {
			if err := st.Checkpoint(t.Context(), lease, b.progress(random, fresh)); err != nil {
				t.Fatal(err)
			}
		}
		for _, lookAt := range []int{0, 1, 7, 13, 50, 100_000} {
			st.LookAt(lookAt)
			lanes, err := st.Lanes(t.Context(), lease)
			if err != nil {
				t.Fatal(err)
			}
			b.checkFresh(t, st, lanes, fresh, fmt.Sprintf("round %d, looking at %d events", round, lookAt))
		}
	}
}

// recordSome records some deliveries, most of them as delivered.
func (b *backlog) recordSome(t *testing.T, st *sqlite.Store, lease store.Lease, random *rand.Rand, fresh map[hook.DeliveryKey]bool) {
	t.Helper()
	var outs []*store.Outcome
	upTo := random.IntN(len(b.events) + 1)
	often := random.IntN(10)
	for _, e := range b.events[:upTo] {
		for _, target := range e.Targets {
			k := hook.DeliveryKey{Event: e.ID, Endpoint: target.Endpoint}
			if !fresh[k] || random.IntN(10) > often {
				continue
			}
			delete(fresh, k)
			o := &store.Outcome{Key: k, At: b.now, State: hook.Delivered, Attempt: &hook.Attempt{Key: k, N: 1, At: b.now, State: hook.Delivered}}
			if random.IntN(5) == 0 {
				o.State, o.Attempt = hook.Cancelled, nil
			}
			outs = append(outs, o)
		}
	}
	if err := st.Record(t.Context(), lease, outs); err != nil {
		t.Fatal(err)
	}
}

// progress is one that dispatch may tell: a floor anywhere, and of each lane that
// has something fresh before it, where that begins at the latest.
func (b *backlog) progress(random *rand.Rand, fresh map[hook.DeliveryKey]bool) store.Progress {
	floor := random.IntN(len(b.events))
	p := store.Progress{Floor: b.events[floor].ID}
	for _, lane := range []hook.EndpointNum{1, 2, 3, 4, 9} {
		first := slices.IndexFunc(b.events[:floor], func(e *hook.Event) bool { return fresh[hook.DeliveryKey{Event: e.ID, Endpoint: lane}] })
		if first < 0 {
			p.CaughtUp = append(p.CaughtUp, lane)
			continue
		}
		p.Behind = append(p.Behind, store.LaneMark{Endpoint: lane, From: b.events[random.IntN(first+1)].ID})
	}
	return p
}

// checkFresh sees to it that the lanes' pages have all that is fresh, in order and
// once.
func (b *backlog) checkFresh(t *testing.T, st *sqlite.Store, lanes []store.Lane, fresh map[hook.DeliveryKey]bool, when string) {
	t.Helper()
	for _, lane := range []hook.EndpointNum{1, 2, 3, 4, 9} {
		var want, got []hook.EventID
		for _, e := range b.events {
			if fresh[hook.DeliveryKey{Event: e.ID, Endpoint: lane}] {
				want = append(want, e.ID)
			}
		}
		for _, l := range lanes {
			if l.Endpoint == lane {
				got = drain(t, st, l, 5)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: lane %d has %d fresh, want %d", when, lane, len(got), len(want))
		}
	}
}
