package manage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// shelf is a log of failed deliveries, all to one endpoint, which hands out as
// many as are asked for, or endless empty pages of a tenant.
type shelf struct {
	*memory
	list    []*hook.Delivery
	endless hook.TenantNum
	read    func(tenant hook.TenantNum) // called before each page; may block

	mu     sync.Mutex
	broken map[hook.DeliveryKey]error // what a redelivery returns, once
	sent   map[hook.DeliveryKey]int
}

func (s *shelf) LastEvent(context.Context) (hook.EventID, error) {
	return hook.EventIDFrom(1<<59, 0), nil
}

func (s *shelf) Deliveries(_ context.Context, q store.DeliveryQuery) (p store.DeliveryPage, err error) {
	if s.read != nil {
		s.read(q.Tenant)
	}
	if q.Tenant == s.endless {
		p.Next = hook.DeliveryKey{Event: hook.EventIDFrom(q.After.Event.Seq()+1, 0)}
		return p, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.list {
		if d.Tenant != q.Tenant || d.Key.Event.Seq() <= q.After.Event.Seq() || s.sent[d.Key] > 0 {
			continue
		}
		if len(p.Deliveries) == q.Limit {
			p.Next = p.Deliveries[q.Limit-1].Key
			break
		}
		p.Deliveries = append(p.Deliveries, d)
	}
	return p, nil
}

func (s *shelf) Delivery(_ context.Context, _ hook.TenantNum, key hook.DeliveryKey) (*hook.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.list {
		if d.Key == key {
			found := *d
			if s.sent[key] > 0 {
				found.State = hook.Pending
			}
			return &found, nil
		}
	}
	return nil, store.ErrNotFound
}

func (s *shelf) Redeliver(_ context.Context, tenant hook.TenantNum, key hook.DeliveryKey, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.broken[key]; err != nil {
		delete(s.broken, key)
		return err
	}
	s.sent[key]++
	return nil
}

type replays struct {
	*bundle
	*manage.Replayer
	shelf *shelf
}

// replaying has a tenant with n failed deliveries.
func replaying(t *testing.T, n int) *replays {
	t.Helper()
	s := &shelf{broken: map[hook.DeliveryKey]error{}, sent: map[hook.DeliveryKey]int{}}
	b := setup(t, func(c *manage.Config) { c.Deliveries = s })
	s.memory = b.store
	tenant := b.tenant(t, "acme")
	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	for i := range n {
		key := hook.DeliveryKey{Event: hook.EventIDFrom(int64(i+1)<<20, 0), Endpoint: e.Num}
		s.list = append(s.list, &hook.Delivery{Key: key, Tenant: tenant.Num, Type: "a.b", State: hook.Failed, Attempts: 1})
	}
	r, err := manage.NewReplayer(manage.ReplayConfig{Manager: b.Manager, Log: s, Wake: func(hook.DeliveryKey) {}})
	if err != nil {
		t.Fatal(err)
	}
	return &replays{b, r, s}
}

func (r *replays) create(t *testing.T, tenant string) *hook.Replay {
	t.Helper()
	p, err := r.CreateReplay(t.Context(), tenant, manage.ReplayInput{States: []string{"failed"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *replays) now(t *testing.T, p *hook.Replay) *hook.Replay {
	t.Helper()
	now, ok := r.dir.Replay(p.TenantNum, p.ID)
	if !ok {
		t.Fatal("the replay is gone")
	}
	return now
}

// What a replay has done up to a failure counts, nothing is sent twice, and all
// is sent in the end.
func TestReplayCountsUpToAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := replaying(t, 450)
		for _, i := range []int{0, 120, 121, 449} {
			r.shelf.broken[r.shelf.list[i].Key] = store.ErrUnavailable
		}
		before := r.dir.Revision()
		r.Start()
		defer r.Stop()
		p := r.create(t, "acme")
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		got := r.now(t, p)
		if got.State != hook.ReplayDone || got.Total != 450 || got.Redelivered != 450 || got.Skipped+got.Failed != 0 {
			t.Errorf("%+v", got)
		}
		for _, d := range r.shelf.list {
			if r.shelf.sent[d.Key] != 1 {
				t.Errorf("%s was sent %d times", d.Key, r.shelf.sent[d.Key])
			}
		}
		if grown := r.dir.Revision() - before; grown != 2 {
			t.Errorf("%d revisions, want one for the beginning and one for the end", grown)
		}
	})
}

// What was done before a failure that does not pass is in the counts.
func TestReplayThatFailsKeepsItsCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := replaying(t, 100)
		r.shelf.broken[r.shelf.list[60].Key] = errors.New("damaged")
		r.Start()
		defer r.Stop()
		p := r.create(t, "acme")
		time.Sleep(time.Minute)
		synctest.Wait()
		got := r.now(t, p)
		if got.State != hook.ReplayFailed || got.Redelivered != int64(len(r.shelf.sent)) || got.Redelivered != int64(100-len(got.InHand)) || got.InHand[0] != r.shelf.list[60].Key {
			t.Errorf("%+v, %d sent", got, len(r.shelf.sent))
		}
	})
}

// A replay that was killed in the middle of a batch goes on with that batch: it
// sends nothing twice, and no more than its limit.
func TestReplayGoesOnWithTheBatchInHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := replaying(t, 300)
		for _, d := range r.shelf.list {
			r.shelf.broken[d.Key] = store.ErrUnavailable
		}
		r.Start()
		p, err := r.CreateReplay(t.Context(), "acme", manage.ReplayInput{States: []string{"failed"}, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		r.Stop()
		inHand := r.now(t, p).InHand
		if len(inHand) != 100 {
			t.Fatalf("%d deliveries are in hand, want 100", len(inHand))
		}
		clear(r.shelf.broken)
		for _, key := range inHand[:40] { // as far as the process came before it was killed
			if err := r.shelf.Redeliver(t.Context(), hook.AllTenants, key, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		r.Start()
		defer r.Stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := r.now(t, p); got.State != hook.ReplayDone || got.Redelivered != 100 || got.Skipped+got.Failed != 0 {
			t.Errorf("%+v", got)
		}
		if len(r.shelf.sent) != 100 {
			t.Errorf("%d deliveries were sent, want 100", len(r.shelf.sent))
		}
		for key, n := range r.shelf.sent {
			if n != 1 {
				t.Errorf("%s was sent %d times", key, n)
			}
		}
	})
}

// A replay whose count takes for ever keeps no other from its turn.
func TestCountingLetsOthersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := replaying(t, 10)
		r.shelf.endless = r.tenant(t, "huge").Num
		r.Start()
		defer r.Stop()
		r.create(t, "huge")
		p := r.create(t, "acme")
		time.Sleep(time.Minute)
		if got := r.now(t, p); got.State != hook.ReplayDone {
			t.Errorf("%+v", got)
		}
	})
}

// A dry run says how much there is at least when it cannot count to the end in
// reasonable time, and only some count at once.
func TestCountIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := replaying(t, 30)
		r.shelf.endless = r.tenant(t, "huge").Num
		in := manage.ReplayInput{States: []string{"failed"}}
		count := func(tenant string) (int64, bool, error) {
			n, err := r.CountReplay(t.Context(), tenant, in)
			return n.Count, n.Exact, err
		}
		if n, exact, err := count("acme"); n != 30 || !exact || err != nil {
			t.Errorf("%d, %v, %v", n, exact, err)
		}
		in.Limit = 5
		if n, exact, err := count("acme"); n != 5 || !exact || err != nil {
			t.Errorf("with a limit: %d, %v, %v", n, exact, err)
		}
		in.Limit = 0
		pages := 0
		r.shelf.read = func(hook.TenantNum) { pages++ }
		if n, exact, err := count("huge"); n != 0 || exact || err != nil || pages > 1000 {
			t.Errorf("without an end: %d, %v, %v after %d pages", n, exact, err, pages)
		}
		r.shelf.read = func(hook.TenantNum) { time.Sleep(time.Second) }
		begun := time.Now()
		if _, exact, err := count("huge"); exact || err != nil || time.Since(begun) > time.Minute {
			t.Errorf("slow: %v, %v after %s", exact, err, time.Since(begun))
		}

		gate := make(chan struct{})
		r.shelf.read = func(hook.TenantNum) { <-gate }
		results := make(chan error, 5)
		for range cap(results) {
			go func() {
				_, _, err := count("acme")
				results <- err
			}()
		}
		synctest.Wait()
		close(gate)
		var codes []hook.Code
		for range cap(results) {
			codes = append(codes, hook.CodeOf(<-results))
		}
		if diff := cmp.Diff([]hook.Code{hook.CodeUnavailable, hook.CodeUnavailable, hook.CodeUnavailable, "", ""}, codes); diff != "" {
			t.Error(diff)
		}
	})
}

// Replays that are over are forgotten after a time, by tombstones.
func TestForgetReplays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := replaying(t, 3)
		r.Start()
		defer r.Stop()
		over := r.create(t, "acme")
		time.Sleep(time.Hour)
		later := r.create(t, "acme")
		time.Sleep(time.Minute)
		r.Stop()
		running := r.create(t, "acme")
		if n, err := r.ForgetReplays(t.Context(), time.Now().Add(-30*time.Minute)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := r.ForgetReplays(t.Context(), time.Now().Add(-30*time.Minute)); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		var left []string
		for _, p := range r.dir.Replays(hook.AllTenants) {
			left = append(left, p.ID)
		}
		if diff := cmp.Diff([]string{later.ID, running.ID}, left); diff != "" {
			t.Error(diff)
		}
		last := r.store.log[len(r.store.log)-1].Replays
		if len(last) != 1 || last[0].ID != over.ID || !last[0].Deleted || !last[0].UpdatedAt.After(last[0].CreatedAt) {
			t.Errorf("%+v", last)
		}
	})
}

// A change by the server itself, too, gives a record a time of its own.
func TestEveryChangeHasItsTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ahead := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond) // the clock was set back since
	num := hook.EndpointNum(b.tenant(t, "acme").Num + 1)
	_, err := b.store.Configure(t.Context(), &store.Change{
		Tenants:   []*hook.Tenant{{ID: "late", UpdatedAt: ahead}},
		Types:     []*hook.EventType{{Name: "a.b", UpdatedAt: ahead}},
		Endpoints: []*hook.Endpoint{{ID: "ep_1", Num: num + 10, TenantNum: 1, UpdatedAt: ahead}, {ID: "ep_2", Num: num + 11, TenantNum: 1, UpdatedAt: ahead}},
	})
	if err := errors.Join(err, b.dir.Refresh(t.Context())); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func() error{
		"disable":     func() error { return b.DisableEndpoint(t.Context(), num+10, "410") },
		"unsubscribe": func() error { return b.Unsubscribe(t.Context(), num+11, "410") },
		"type":        func() error { return b.DeleteEventType(t.Context(), "a.b", manage.Terms[hook.EventType]{}) },
		"tenant": func() error {
			_, err := b.DeleteTenant(t.Context(), "late", manage.Terms[hook.Tenant]{})
			return err
		},
	} {
		if err := change(); err != nil {
			t.Fatal(what, err)
		}
		c := b.store.log[len(b.store.log)-1]
		var times []time.Time
		for _, e := range c.Endpoints {
			times = append(times, e.UpdatedAt)
		}
		for _, e := range c.Types {
			times = append(times, e.UpdatedAt)
		}
		for _, e := range c.Tenants {
			times = append(times, e.UpdatedAt)
		}
		if diff := cmp.Diff([]time.Time{ahead.Add(time.Millisecond)}, times); diff != "" {
			t.Error(fmt.Sprint(what, ": ", diff))
		}
	}
}

// Where no more keys can be remembered, the caller is told so, and that it is no
// fault of the server's.
func TestTooManyKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.fail = fmt.Errorf("configure: %w", store.ErrTooManyKeys)
	refused(t, "remember", b.Remember(t.Context(), &store.Request{}), hook.CodeRateLimited, "")
}
