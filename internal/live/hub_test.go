package live_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/live"
)

func key(seq int64, endpoint hook.EndpointNum) hook.DeliveryKey {
	return hook.DeliveryKey{Event: hook.EventIDFrom(seq, 0), Endpoint: endpoint}
}

// seqs are the events of changes.
func seqs(changes []live.Change) (out []int64) {
	for _, c := range changes {
		out = append(out, c.Key.Event.Seq())
	}
	return out
}

func TestFilters(t *testing.T) {
	t.Parallel()
	h := live.New(live.Config{})
	defer h.Close()
	var recording atomic.Bool
	sees := func(n hook.TenantNum) bool {
		if recording.Load() {
			t.Error("who records is kept waiting by a watcher's filter")
		}
		return n == 1
	}
	one := map[hook.EndpointNum]struct{}{7: {}}
	for name, c := range map[string]struct {
		filter live.Filter
		want   []int64
	}{
		"all":      {live.Filter{}, []int64{1, 2, 3, 4}},
		"tenant":   {live.Filter{Tenant: 2}, []int64{3, 4}},
		"endpoint": {live.Filter{Endpoints: one}, []int64{1, 3}},
		"none":     {live.Filter{Endpoints: map[hook.EndpointNum]struct{}{}}, nil},
		"type":     {live.Filter{Type: "a"}, []int64{1, 4}}, // 4 has a type that is not known
		"sees":     {live.Filter{Sees: sees}, []int64{1, 2}},
	} {
		w := h.Watch(c.filter)
		recording.Store(true)
		h.Recorded(1, key(1, 7), "a", nil)
		h.Recorded(1, key(2, 8), "b", nil)
		h.Recorded(2, key(3, 7), "b", nil)
		h.Recorded(2, key(4, 8), "", nil)
		recording.Store(false)
		got, missed := w.Take()
		if diff := cmp.Diff(c.want, seqs(got)); diff != "" || missed != 0 {
			t.Errorf("%s: missed %d, %s", name, missed, diff)
		}
		w.Close()
		w.Close()
		h.Recorded(1, key(5, 7), "a", nil)
		if late, _ := w.Take(); late != nil {
			t.Errorf("%s: told after Close", name)
		}
	}
}

// A watcher that takes nothing blocks nobody, and learns how many it lost and
// where.
func TestSlowWatcher(t *testing.T) {
	t.Parallel()
	h := live.New(live.Config{Backlog: 2})
	defer h.Close()
	slow, quick := h.Watch(live.Filter{}), h.Watch(live.Filter{})
	var all []int64
	for seq := range int64(5) {
		h.Recorded(1, key(seq+1, 1), "a", nil)
		got, missed := quick.Take()
		if all = append(all, seqs(got)...); missed != 0 {
			t.Errorf("the quick one missed %d", missed)
		}
	}
	if diff := cmp.Diff([]int64{1, 2, 3, 4, 5}, all); diff != "" {
		t.Error(diff)
	}
	got, missed := slow.Take()
	if diff := cmp.Diff([]int64{1, 2}, seqs(got)); diff != "" || missed != 3 {
		t.Errorf("missed %d, %s", missed, diff)
	}
	h.Recorded(1, key(6, 1), "a", nil)
	if got, missed = slow.Take(); len(got) != 1 || missed != 0 {
		t.Errorf("afterwards %d, missed %d", len(got), missed)
	}
}

// case 94: what a watcher may not see takes no room and is not counted.
func TestSlowWatcherOfSome(t *testing.T) {
	t.Parallel()
	h := live.New(live.Config{Backlog: 2})
	defer h.Close()
	w := h.Watch(live.Filter{Sees: func(num hook.TenantNum) bool { return num == 1 }})
	for seq := range int64(8) {
		h.Recorded(hook.TenantNum(seq/2%2), key(seq, 1), "a", nil) // 2, 3, 6 and 7 are its own
	}
	got, missed := w.Take()
	if diff := cmp.Diff([]int64{2, 3}, seqs(got)); diff != "" || missed != 2 {
		t.Errorf("missed %d, %s", missed, diff)
	}
	for seq := range int64(5) {
		h.Recorded(2, key(seq, 1), "a", nil)
	}
	if got, missed := w.Take(); len(got) != 0 || missed != 0 {
		t.Errorf("of others: %d, missed %d", len(got), missed)
	}
}

func TestReadyAndAlarmWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := live.New(live.Config{})
		defer h.Close()
		w, mine, others := h.Watch(live.Filter{}), h.Await(1), h.Await(2)
		var woken atomic.Int32
		go func() { <-w.Ready(); woken.Add(1) }()
		go func() { <-mine.Rung(); woken.Add(1) }()
		synctest.Wait()
		if woken.Load() != 0 {
			t.Fatal("woken by nothing")
		}
		h.Committed([]*hook.Event{{ID: hook.EventIDFrom(1, 0), Tenant: 1, Targets: []hook.Target{
			{Endpoint: 1}, {Endpoint: 2, Disposition: hook.Suppressed},
		}}})
		synctest.Wait()
		if woken.Load() != 2 {
			t.Errorf("%d woke, want both", woken.Load())
		}
		if got, _ := w.Take(); len(got) != 1 || got[0].Key.Endpoint != 2 {
			t.Errorf("told of %v, want the delivery that ends at once", got)
		}
		select {
		case <-others.Rung():
			t.Error("another tenant's alarm rang")
		default:
		}
		mine.Close()
		mine.Close()
		h.Committed([]*hook.Event{{Tenant: 1}})
		select {
		case <-mine.Rung():
			t.Error("rang after Close")
		case <-time.After(time.Hour):
		}
		others.Close()
	})
}

func TestAttemptIsSummed(t *testing.T) {
	t.Parallel()
	h := live.New(live.Config{})
	defer h.Close()
	w := h.Watch(live.Filter{})
	at := time.Unix(1_800_000_000, 0)
	h.Recorded(3, key(1, 1), "a", &hook.Attempt{N: 2, At: at, Trigger: hook.Manual, State: hook.Failed, Status: 500, Class: "x", Timing: hook.Timing{Total: time.Second}, ResponseBody: []byte("not kept")})
	got, _ := w.Take()
	want := []live.Change{{Tenant: 3, Key: key(1, 1), Type: "a", Attempt: live.Attempt{
		N: 2, At: at, Trigger: hook.Manual, State: hook.Failed, Status: 500, Class: "x", Took: time.Second,
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Customers with portal links, of whatever tenants, leave streams to their provider.
func TestCustomersLeaveStreams(t *testing.T) {
	t.Parallel()
	h := live.New(live.Config{Streams: 4})
	enter := func(key string, customer bool, want hook.Code) func() {
		t.Helper()
		leave, err := h.Enter(key, "of "+key, customer)
		if got := hook.CodeOf(err); err != nil && got != want || err == nil && want != "" {
			t.Errorf("%s: %v, want %q", key, err, want)
		}
		return leave
	}
	first := enter("a", true, "")
	enter("b", true, "")
	enter("c", true, "")
	enter("d", true, hook.CodeUnavailable)
	enter("provider", false, "")
	enter("provider", false, hook.CodeUnavailable)
	first()
	enter("d", true, "")
}

func TestEnterIsBounded(t *testing.T) {
	t.Parallel()
	h := live.New(live.Config{Streams: 4, StreamsPerTenant: 3, StreamsPerKey: 2})
	enter := func(key, tenant string, want hook.Code) func() {
		t.Helper()
		leave, err := h.Enter(key, tenant, false)
		if got := hook.CodeOf(err); err != nil && got != want || err == nil && want != "" {
			t.Errorf("%s: %v, want %q", key, err, want)
		}
		return leave
	}
	first := enter("a", "acme", "")
	enter("a", "acme", "")
	enter("a", "acme", hook.CodeRateLimited)
	enter("b", "acme", "")
	enter("c", "acme", hook.CodeRateLimited) // with all its keys
	enter("c", "globex", "")
	enter("d", "initech", hook.CodeUnavailable)
	first()
	first()
	if h.Count() != 3 {
		t.Errorf("%d are open, want 3", h.Count())
	}
	enter("c", "", "")
	h.Close()
	if h.Open().Err() == nil {
		t.Error("open after Close")
	}
	enter("d", "acme", hook.CodeUnavailable)
}
