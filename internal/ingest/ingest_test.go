package ingest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// journal is a store.Log in memory whose commits a test can hold up or fail.
type journal struct {
	mu       sync.Mutex
	events   []*hook.Event
	keys     map[store.EventKey]*store.KnownEvent
	requests map[store.RequestKey]*store.Request
	commits  []int // events in each
	fail     func(*store.Batch) error
	raise    int64         // by how much it raises ids
	doubts   int           // how often Resolve cannot tell
	gate     chan struct{} // a commit takes one from it, if set
}

func newJournal() *journal {
	return &journal{keys: map[store.EventKey]*store.KnownEvent{}, requests: map[store.RequestKey]*store.Request{}}
}

func (j *journal) Known(_ context.Context, q store.KnownQuery) (store.Known, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := store.Known{Events: make([]*store.KnownEvent, len(q.Events)), Requests: make([]*store.Request, len(q.Requests))}
	for i, k := range q.Events {
		if e := j.keys[k]; e != nil && !e.ID.Time().Before(q.Since) {
			out.Events[i] = e
		}
	}
	for i, k := range q.Requests {
		if r := j.requests[k]; r != nil && !r.At.Before(q.Since) {
			out.Requests[i] = r
		}
	}
	return out, nil
}

func (j *journal) Append(_ context.Context, b *store.Batch) error {
	if j.gate != nil {
		<-j.gate
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if j.fail != nil {
		if err = j.fail(b); err != nil && !errors.Is(err, errStoredAnyway) {
			return err
		}
	}
	for _, r := range b.Requests {
		r.Raised = j.raise
	}
	for _, e := range b.Events {
		e.ID = hook.EventIDFrom(e.ID.Seq()+j.raise, e.ID.Tail())
		if n := len(j.events); n > 0 && j.events[n-1].ID.Seq() >= e.ID.Seq() {
			return fmt.Errorf("id %s does not ascend", e.ID)
		}
		j.events = append(j.events, e)
		if e.Key != "" {
			j.keys[store.EventKey{Tenant: e.Tenant, Key: e.Key}] = &store.KnownEvent{ID: e.ID, Fingerprint: e.Fingerprint, Targets: e.Targets}
		}
	}
	for _, r := range b.Requests {
		j.requests[r.RequestKey] = r
	}
	j.commits = append(j.commits, len(b.Events))
	return err
}

func (j *journal) Resolve(_ context.Context, b *store.Batch) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.doubts > 0 {
		j.doubts--
		return false, store.ErrUnavailable
	}
	return slices.Contains(j.events, b.Events[0]), nil
}

func (j *journal) LastEvent(context.Context) (hook.EventID, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.events) == 0 {
		return hook.EventID{}, nil
	}
	return j.events[len(j.events)-1].ID, nil
}

// errStoredAnyway is a commit that succeeded but did not say so.
var errStoredAnyway = fmt.Errorf("cut off: %w", store.ErrUnknown)

// config is a configuration that a test changes.
type config struct{ now }

type now = store.Configuration

func (c *config) Configure(context.Context, *store.Change) (int64, error) { return 0, nil }
func (c *config) Remembered(context.Context, store.RequestKey, time.Time) (*store.Request, error) {
	return nil, nil
}
func (c *config) Configuration(context.Context, int64) (*store.Configuration, error) {
	out := c.now
	return &out, nil
}

type bench struct {
	*ingest.Ingester
	journal *journal
	config  *config
	dir     *directory.Directory
	mu      sync.Mutex
	offered []hook.EventID
}

func ep(num hook.EndpointNum, tenant hook.TenantNum, types ...string) *hook.Endpoint {
	return &hook.Endpoint{ID: fmt.Sprint("ep_", num), Num: num, TenantNum: tenant, EventTypes: types, Dialect: "standard", State: hook.EndpointActive}
}

func setup(t testing.TB, change ...func(*ingest.Config)) *bench {
	t.Helper()
	b := &bench{journal: newJournal(), config: &config{now{
		Revision:  1,
		Tenants:   []*hook.Tenant{{ID: "acme", Num: 1}, {ID: "bolt", Num: 2}},
		Endpoints: []*hook.Endpoint{ep(1, 1), ep(2, 1, "invoice.*"), ep(3, 1, "user.created"), ep(4, 2)},
	}}}
	b.config.Endpoints[2].Filter = []byte(`{"field":"data.vip","operator":"eq","value":true}`)
	dir, err := directory.Load(t.Context(), b.config)
	if err != nil {
		t.Fatal(err)
	}
	b.dir = dir
	cfg := ingest.Config{
		Log: b.journal, Directory: dir, Window: time.Hour, Logger: slog.New(slog.DiscardHandler),
		Policy: func(dialect string) ingest.Policy {
			return policyOf(dialect)
		},
		Offer: func(events []*hook.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, e := range events {
				b.offered = append(b.offered, e.ID)
			}
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	b.Ingester, err = ingest.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func item(tenant, key, eventType, data string) ingest.Item {
	return ingest.Item{Tenant: tenant, Key: key, Type: eventType, Data: []byte(data)}
}

func submission(key string, items ...ingest.Item) *ingest.Submission {
	return &ingest.Submission{Scope: "s", Key: key, Fingerprint: sha256.Sum256(fmt.Append(nil, items)), Items: items}
}

func (b *bench) publish(t *testing.T, s *ingest.Submission) ([]ingest.Result, bool) {
	t.Helper()
	results, replayed, err := b.Publish(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return results, replayed
}

func targets(e *hook.Event) (nums []hook.EndpointNum) {
	for _, target := range e.Targets {
		nums = append(nums, target.Endpoint)
	}
	return nums
}

func TestPublishMatchesAndPins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	results, _ := b.publish(t, submission("",
		item("acme", "", "invoice.paid", `1`), item("acme", "", "user.created", `{"vip":true}`),
		item("acme", "", "user.created", `{"vip":false}`), item("bolt", "", "x", `1`), item("nobody", "", "x", `1`)))
	want := [][]hook.EndpointNum{{1, 2}, {1, 3}, {1}, {4}}
	for i, nums := range want {
		e := b.journal.events[i]
		if diff := cmp.Diff(nums, targets(e)); diff != "" {
			t.Errorf("event %d: %s", i, diff)
		}
		if results[i].ID != e.ID || results[i].Matched != len(nums) || e.Revision != 1 || e.Time.IsZero() {
			t.Errorf("event %d: %+v, %+v", i, results[i], e)
		}
	}
	if results[4].Err == nil || results[4].Err.Code != hook.CodeNotFound {
		t.Errorf("an unknown tenant: %+v", results[4])
	}
	if diff := cmp.Diff(4, len(b.offered)); diff != "" {
		t.Error(diff)
	}
}

// An endpoint that was there when the publish came is matched, also when the
// store knows a newer configuration than the index.
func TestPublishReloadsAStaleIndex(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.journal.fail = func(batch *store.Batch) error {
		if batch.Revision < b.config.Revision {
			return store.ErrStale
		}
		return nil
	}
	b.publish(t, submission("", item("bolt", "", "x", `1`)))
	b.config.Revision, b.config.Endpoints = 2, []*hook.Endpoint{ep(9, 2)}
	b.publish(t, submission("", item("bolt", "", "x", `1`)))
	if diff := cmp.Diff([]hook.EndpointNum{4, 9}, targets(b.journal.events[1])); diff != "" {
		t.Error(diff)
	}
}

func TestDispositions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held, cancelled, suppressed := ep(11, 2), ep(12, 2), ep(13, 2)
	held.State, cancelled.State = hook.EndpointPaused, hook.EndpointDisabled
	cancelled.Dialect, suppressed.Dialect = "smake", "customers1st"
	b.config.Revision, b.config.Endpoints = 2, []*hook.Endpoint{held, cancelled, suppressed}
	if err := b.dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	it := item("bolt", "", "x", `1`)
	it.Suppress = true
	results, _ := b.publish(t, submission("", it))
	want := []hook.Target{{Endpoint: 4}, {Endpoint: 11}, {Endpoint: 12, Disposition: hook.Inactive}, {Endpoint: 13, Disposition: hook.Suppressed}}
	if diff := cmp.Diff(want, b.journal.events[0].Targets); diff != "" {
		t.Error(diff)
	}
	if results[0].Matched != 2 {
		t.Errorf("matched %d, want the two that are sent", results[0].Matched)
	}
}

// cases 67 and 68: a key again.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, replayed := b.publish(t, submission("k", item("acme", "", "a", `1`), item("acme", "", "a b", `1`)))
	if replayed {
		t.Error("the first request is a replay")
	}
	again, replayed := b.publish(t, submission("k", item("acme", "", "a", `1`), item("acme", "", "a b", `1`)))
	if diff := cmp.Diff(first, again); diff != "" || !replayed {
		t.Errorf("replayed %v: %s", replayed, diff)
	}
	if _, _, err := b.Publish(t.Context(), submission("k", item("acme", "", "a", `2`))); hook.CodeOf(err) != hook.CodeMismatch {
		t.Errorf("another request under the key: %v", err)
	}
	other := submission("k", item("acme", "", "a", `2`))
	other.Scope = "another"
	if _, replayed := b.publish(t, other); replayed {
		t.Error("a key of another scope counts")
	}

	r1, _ := b.publish(t, submission("", item("acme", "id-1", "a", `1`)))
	r2, _ := b.publish(t, submission("", item("acme", "id-1", "a", `1`), item("acme", "id-1", "a", `2`), item("bolt", "id-1", "a", `2`)))
	if !r2[0].Duplicate || r2[0].ID != r1[0].ID || r2[0].Matched != r1[0].Matched {
		t.Errorf("the same event again: %+v", r2[0])
	}
	if r2[1].Err == nil || r2[1].Err.Code != hook.CodeMismatch {
		t.Errorf("another event under the id: %+v", r2[1])
	}
	if r2[2].Err != nil || r2[2].Duplicate { // case 96
		t.Errorf("the id in another tenant: %+v", r2[2])
	}
}

// case 70: a key is free again after the window.
func TestKeysExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		first, _ := b.publish(t, submission("k", item("acme", "id", "a", `1`)))
		time.Sleep(time.Hour + time.Second)
		second, replayed := b.publish(t, submission("k", item("acme", "id", "a", `2`)))
		if replayed || second[0].Err != nil || second[0].ID == first[0].ID {
			t.Errorf("got %+v, replayed %v", second, replayed)
		}
		b.Close()
	})
}

// case 69: equal keys in flight make one event, and waiting publishes go in
// one commit.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.journal.gate = make(chan struct{})
		ids := make([]hook.EventID, 100)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				results, _ := b.publish(t, submission("", item("acme", "same", "a", `1`)))
				ids[i] = results[0].ID
			})
		}
		synctest.Wait() // one is being committed, 99 wait
		close(b.journal.gate)
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatal("equal keys in flight became several events")
			}
		}
		if diff := cmp.Diff([]int{1}, b.journal.commits); diff != "" {
			t.Error(diff)
		}

		b.journal.gate = make(chan struct{})
		for i := range ids {
			wg.Go(func() { b.publish(t, submission("", item("acme", "", "a", fmt.Sprint(i)))) })
			if i == 0 {
				synctest.Wait() // the first is being committed alone
			}
		}
		synctest.Wait()
		close(b.journal.gate)
		wg.Wait()
		if diff := cmp.Diff([]int{1, 1, 99}, b.journal.commits); diff != "" {
			t.Error(diff)
		}
		b.Close()
	})
}

// A caller that stops waiting is told so, and its event is stored all the
// same.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.journal.gate = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := b.Publish(ctx, submission("", item("acme", "id", "a", `1`)))
		if hook.CodeOf(err) != hook.CodeUnavailable { // case 25: no 4xx, for it may be stored
			t.Errorf("got %v", err)
		}
		close(b.journal.gate)
		if r, _ := b.publish(t, submission("", item("acme", "id", "a", `1`))); !r[0].Duplicate {
			t.Errorf("got %+v", r)
		}
		b.Close()
	})
}

// case 22, case 26: however long the store was away, publishes are taken as soon as it is
// back, although each may wait for a few seconds only.
func TestPaceAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		limited := func(key string) error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, _, err := b.Publish(ctx, submission("", item("acme", key, "a", `1`)))
			return err
		}
		b.journal.gate = make(chan struct{})
		if err := limited("first"); hook.CodeOf(err) != hook.CodeUnavailable {
			t.Fatalf("got %v", err)
		}
		time.Sleep(time.Hour)
		if err := limited("meanwhile"); hook.CodeOf(err) != hook.CodeUnavailable {
			t.Fatalf("got %v", err)
		}
		close(b.journal.gate)
		synctest.Wait()
		for n := range 100 {
			if err := limited(fmt.Sprint(n)); err != nil {
				t.Fatalf("publish %d after the outage: %v", n, err)
			}
		}
		b.Close()
	})
}

// A group that fails on one event is halved until that one is alone.
func TestOneBadEventHarmsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.journal.gate = make(chan struct{})
		b.journal.fail = func(batch *store.Batch) error {
			for _, e := range batch.Events {
				if string(e.Data) == `"poison"` {
					return errors.New("cannot store this")
				}
			}
			return nil
		}
		var wg sync.WaitGroup
		codes := make([]hook.Code, 20)
		for i := range codes {
			wg.Go(func() {
				data := fmt.Sprint(i)
				if i == 13 {
					data = `"poison"`
				}
				_, _, err := b.Publish(t.Context(), submission("", item("acme", "", "a", data)))
				codes[i] = hook.CodeOf(err)
			})
		}
		synctest.Wait()
		close(b.journal.gate)
		wg.Wait()
		want := make([]hook.Code, 20)
		want[13] = hook.CodeInternal
		if diff := cmp.Diff(want, codes); diff != "" {
			t.Error(diff)
		}
		if len(b.journal.events) != 19 || len(b.offered) != 19 {
			t.Errorf("%d events stored, %d offered, want 19", len(b.journal.events), len(b.offered))
		}
		b.Close()
	})
}

// A key that the store holds for taken, however often it is looked up, is the
// fault of the submission that has it and of no other in the group.
func TestATakenKeyHarmsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.journal.gate = make(chan struct{})
		b.journal.fail = func(batch *store.Batch) error {
			for _, e := range batch.Events {
				if e.Key == "id 3" {
					return store.ErrKeyTaken
				}
			}
			return nil
		}
		var wg sync.WaitGroup
		codes := make([]hook.Code, 9)
		for i := range codes {
			wg.Go(func() {
				_, _, err := b.Publish(t.Context(), submission("", item("acme", fmt.Sprint("id ", i), "a", `1`)))
				codes[i] = hook.CodeOf(err)
			})
		}
		synctest.Wait()
		close(b.journal.gate)
		wg.Wait()
		want := make([]hook.Code, len(codes))
		want[3] = hook.CodeUnavailable
		if diff := cmp.Diff(want, codes); diff != "" {
			t.Error(diff)
		}
		b.Close()
	})
}

// cases 17 and 25: what the store cannot do is never acknowledged, and a
// commit in doubt is neither lost nor sent twice.
func TestStoreFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{store.ErrFull, store.ErrUnavailable, store.ErrUnknown} {
		b := setup(t)
		b.journal.fail = func(*store.Batch) error { return fault }
		if _, _, err := b.Publish(t.Context(), submission("", item("acme", "id", "a", `1`))); hook.CodeOf(err) != hook.CodeUnavailable {
			t.Errorf("%v: got %v", fault, err)
		}
		b.journal.fail = nil
		if r, _ := b.publish(t, submission("", item("acme", "id", "a", `1`))); r[0].Duplicate || r[0].Err != nil {
			t.Errorf("%v: got %+v", fault, r)
		}
		if len(b.offered) != 1 {
			t.Errorf("%v: %d events offered", fault, len(b.offered))
		}
	}
	b := setup(t)
	b.journal.fail = func(*store.Batch) error { return errStoredAnyway }
	if r, _ := b.publish(t, submission("", item("acme", "", "a", `1`))); r[0].Err != nil || len(b.offered) != 1 {
		t.Errorf("a commit that took place after all: %+v, %d offered", r, len(b.offered))
	}
}

// Where the store raises ids above those of other nodes, callers are told the raised
// ones, now and when they ask again.
func TestRaisedIds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish(t, submission("", item("acme", "old", "a", `0`)))
	for _, doubt := range []error{nil, errStoredAnyway} {
		b.journal.raise += 1 << 30
		b.journal.fail = func(*store.Batch) error { return doubt }
		name := fmt.Sprint("k", b.journal.raise)
		s := submission(name, item("acme", name, "a", `1`), item("acme", "old", "a", `0`), item("acme", name, "a", `1`), item("acme", "", "a", `2`))
		first, _ := b.publish(t, s)
		n := len(b.journal.events)
		stored := b.journal.events[n-2:]
		want := []hook.EventID{stored[0].ID, b.journal.events[0].ID, stored[0].ID, stored[1].ID}
		for i, id := range want {
			if first[i].Err != nil || first[i].ID != id {
				t.Errorf("event %d: told %+v, stored as %v", i, first[i], id)
			}
		}
		if !slices.Equal(b.offered[n-2:], []hook.EventID{stored[0].ID, stored[1].ID}) {
			t.Errorf("offered %v", b.offered)
		}
		b.journal.fail = nil
		if again, replayed := b.publish(t, s); !replayed || !slices.Equal(again, first) {
			t.Errorf("told %+v first and %+v then", first, again)
		}
	}
}

// A commit in doubt is asked after until the store can tell, and a stop does
// not wait for that.
func TestDoubtLasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.journal.fail = func(*store.Batch) error { return errStoredAnyway }
		b.journal.doubts = 5
		if r, _ := b.publish(t, submission("", item("acme", "", "a", `1`))); r[0].Err != nil || len(b.offered) != 1 {
			t.Errorf("%+v, %d offered", r, len(b.offered))
		}
		b.journal.doubts = 1 << 30
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := b.Publish(t.Context(), submission("", item("acme", "", "a", `1`))); hook.CodeOf(err) != hook.CodeUnavailable {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		b.Close()
		wg.Wait()
	})
}

// An answer that tells of our own failure is not kept for the key.
func TestFailuresAreNotReplayed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	broken := ep(21, 2)
	broken.Filter = []byte(`{"field":"data.x","operator":"no such"}`)
	b.config.Revision, b.config.Endpoints = 2, []*hook.Endpoint{broken}
	if err := b.dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, _ := b.publish(t, submission("k", item("bolt", "", "a", `1`))); r[0].Err == nil || r[0].Err.Code != hook.CodeInternal {
		t.Fatalf("%+v", r)
	}
	mended := *broken
	mended.Filter = nil
	b.config.Revision, b.config.Endpoints = 3, []*hook.Endpoint{&mended}
	if err := b.dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, replayed := b.publish(t, submission("k", item("bolt", "", "a", `1`))); replayed || r[0].Err != nil {
		t.Errorf("%+v, replayed %v", r, replayed)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Close()
	if _, _, err := b.Publish(t.Context(), submission("", item("acme", "", "a", `1`))); hook.CodeOf(err) != hook.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}
