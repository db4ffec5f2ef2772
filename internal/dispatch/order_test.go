package dispatch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// orderly is a network that fails the test when a request begins while another
// one of its line is running, or while an earlier delivery of the line is not
// over, by what the store knows.
type orderly struct {
	*world
	mu      sync.Mutex
	running map[string]int                // by line
	again   map[hook.DeliveryKey]struct{} // redelivered: they may come after later ones, which may have begun
}

func watchOrder(w *world) *orderly {
	o := &orderly{world: w, running: map[string]int{}, again: map[hook.DeliveryKey]struct{}{}}
	tune := w.tune
	w.tune = func(c *dispatch.Config) {
		if tune != nil {
			tune(c)
		}
		c.Egress = o
	}
	w.make()
	return o
}

// line is the line of an event's delivery; "" if it waits for no other.
func lineOf(e *hook.Endpoint, event *hook.Event) string {
	switch {
	case e.Ordering == hook.OrderedStrict:
		return fmt.Sprint(e.Num)
	case e.Ordering == hook.OrderedByKey && event.OrderingKey != "":
		return fmt.Sprint(e.Num, event.OrderingKey)
	}
	return ""
}

func (o *orderly) Do(ctx context.Context, r *egress.Request) *egress.Result {
	var num hook.EndpointNum
	fmt.Sscan(r.URL, &num)
	var id string
	for _, h := range r.Header {
		if h.Name == "webhook-id" {
			id = h.Value
		}
	}
	e, _ := o.book.Endpoint(num)
	line := o.check(e, id)
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.running[line]--
	}()
	return o.world.Do(ctx, r)
}

func (o *orderly) check(e *hook.Endpoint, id string) string {
	o.queue.mu.Lock()
	defer o.queue.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.queue.events, func(event *hook.Event) bool { return event.ID.String() == id })
	line := lineOf(e, o.queue.events[i])
	o.running[line]++
	if line == "" {
		return line
	}
	if o.running[line] > 1 {
		o.t.Errorf("%d requests of line %q at once", o.running[line], line)
	}
	for _, before := range o.queue.events[:i] {
		key := hook.DeliveryKey{Event: before.ID, Endpoint: e.Num}
		if _, redelivered := o.again[key]; redelivered || lineOf(e, before) != line {
			continue
		}
		if r := o.queue.records[key]; o.queue.fresh(before, e.Num) || r != nil && r.state == hook.Pending {
			o.t.Errorf("line %q: event %s was sent before event %s was over", line, id, before.ID)
			break
		}
	}
	return line
}

func (o *orderly) redeliver(key hook.DeliveryKey, pause time.Duration) {
	o.mu.Lock()
	o.again[key] = struct{}{}
	o.mu.Unlock()
	_ = o.queue.Redeliver(context.Background(), hook.AllTenants, key, time.Now())
	time.Sleep(pause)
	o.d.Wake(key)
}

// keyed publishes an event with an ordering key.
func (w *world) keyed(key string, endpoints ...hook.EndpointNum) *hook.Event {
	w.queue.mu.Lock()
	w.queue.key = key
	w.queue.mu.Unlock()
	return w.publish(endpoints...)
}

var orderings = []hook.Ordering{hook.Unordered, hook.OrderedByKey, hook.OrderedStrict}

// Whatever endpoints, people, the store and the machine do: of those that wait
// for each other nothing begins before what comes first is over, and in the end
// everything is.
func TestOrderWhateverHappens(t *testing.T) {
	t.Parallel()
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{
		"publish", "publish", "publish", "sleep", "behave", "behave", "pause", "resume", "crash", "restart", "redeliver", "cancel", "fault", "order", "skip",
	}), 1, 25)
	rapid.Check(t, func(rt *rapid.T) {
		seed, todo := rapid.Uint64().Draw(rt, "seed"), steps.Draw(rt, "steps")
		var problems []string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 6)
			w.t = collector{t, &problems}
			w.queue.t = w.t
			w.randomOrder(seed, todo)
		})
		if len(problems) > 0 {
			rt.Fatal(problems[:min(len(problems), 10)])
		}
	})
}

func (w *world) randomOrder(seed uint64, steps []string) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	w.tune = func(c *dispatch.Config) {
		c.MaxInFlight = 4 + int(seed%64)
		if seed%3 > 0 {
			c.Memory = 8<<10 + int(seed%100)<<10
		}
	}
	o := watchOrder(w)
	w.queue.readDelay = time.Duration(seed%7) * 3 * time.Millisecond
	w.queue.recordDelay = time.Duration(seed%5) * 2 * time.Millisecond
	w.queue.recordLag = time.Duration(seed%3) * 2 * time.Millisecond
	for num := range hook.EndpointNum(6) {
		w.change(num+1, func(e *hook.Endpoint) {
			e.Ordering, e.SkipAfter = orderings[(num+1)%3], int(num)/3*(1+rnd.IntN(7))
		})
	}
	w.start()
	for _, step := range steps {
		num := hook.EndpointNum(rnd.IntN(6) + 1)
		switch step {
		case "publish":
			keys := 1 + rnd.IntN(20)
			for range rnd.IntN(120) {
				key := fmt.Sprint(rnd.IntN(keys))
				if key == "0" {
					key = ""
				}
				w.keyed(key, num, num%6+1)
				if rnd.IntN(4) == 0 {
					time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
				}
			}
		case "cancel":
			o.cancelSome(rnd)
		case "redeliver":
			if n := len(w.queue.events); n > 0 {
				e := w.queue.events[rnd.IntN(n)]
				o.redeliver(hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[0].Endpoint}, time.Duration(rnd.IntN(2)*rnd.IntN(10))*time.Millisecond)
			}
		case "order": // those that have been picked shall have begun
			synctest.Wait()
			w.change(num, func(e *hook.Endpoint) { e.Ordering = orderings[rnd.IntN(3)] })
		case "skip":
			w.change(num, func(e *hook.Endpoint) { e.SkipAfter = rnd.IntN(5) })
		default:
			w.step(step, num, rnd)
		}
	}
	w.healAll(6)
	time.Sleep(24 * time.Hour)
	if c := w.queue.count(); c[0]+c[hook.Pending]+c[hook.Held] != 0 {
		w.t.Errorf("in the end the deliveries are %v", c)
	}
	w.stop()
	if w.queue.behind() != 0 {
		w.t.Errorf("%d lanes are still behind", w.queue.behind())
	}
}

// cancelSome cancels some deliveries, wherever they wait.
func (o *orderly) cancelSome(rnd *rand.Rand) {
	var some []*hook.Delivery
	for range rnd.IntN(6) {
		if n := len(o.queue.events); n > 0 {
			e := o.queue.events[rnd.IntN(n)]
			one := &hook.Delivery{Key: hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[0].Endpoint}, Tenant: e.Tenant, Type: e.Type}
			o.queue.mu.Lock()
			r := o.queue.records[one.Key]
			over := r != nil && r.state != hook.Pending
			if r != nil {
				one.Attempts = r.attempts
			}
			o.queue.mu.Unlock()
			if !over && !slices.ContainsFunc(some, func(d *hook.Delivery) bool { return d.Key == one.Key }) {
				some = append(some, one)
			}
		}
	}
	over, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := o.d.Cancel(over, some, "by request"); err != nil {
		o.t.Errorf("cancel: %v", err)
	}
}

// orderedWorld runs a test of one endpoint in virtual time.
func orderedWorld(t *testing.T, change func(*hook.Endpoint), f func(w *world, o *orderly)) {
	t.Helper()
	inBubble(t, 1, func(w *world) {
		o := watchOrder(w)
		w.change(1, change)
		w.start()
		f(w, o)
		w.stop()
	})
}

// poisoned publishes an event that endpoint 1 refuses, from its first attempt on.
func (w *world) poisoned(code int, publish func() *hook.Event) *hook.Event {
	bad, known := "", make(chan struct{})
	w.answers(1, func(ctx context.Context, n int) *egress.Result {
		<-known
		if w.seen(1)[n-1].id == bad {
			return after(ctx, time.Millisecond, status(code))
		}
		return after(ctx, time.Millisecond, status(200))
	})
	e := publish()
	bad = e.ID.String()
	close(known)
	return e
}

// order are the events that an endpoint saw, by their place among the published.
func (w *world) order() []int {
	var places []int
	for _, r := range w.seen(1) {
		places = append(places, slices.IndexFunc(w.queue.events, func(e *hook.Event) bool { return e.ID.String() == r.id }))
	}
	return places
}

// An event that the endpoint does not take is skipped after as many attempts as
// its owner says; its reason says so.
func TestSkipAfter(t *testing.T) {
	orderedWorld(t, func(e *hook.Endpoint) { e.Ordering, e.SkipAfter = hook.OrderedStrict, 3 }, func(w *world, _ *orderly) {
		bad := w.poisoned(500, func() *hook.Event { return w.publish(1) })
		w.publish(1)
		w.publish(1)
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]int{0, 0, 0, 1, 2}, w.order()); diff != "" {
			t.Error(diff)
		}
		key := hook.DeliveryKey{Event: bad.ID, Endpoint: 1}
		if s, r := w.queue.state(key), w.queue.reason(key); s != hook.Failed || r != "answered 500 Internal Server Error; skipped after 3 failed attempts, for others wait for it in order" {
			t.Errorf("it is %v: %q", s, r)
		}
	})
}

// Without that they wait, whatever the schedule, until it is taken or cancelled.
func TestHold(t *testing.T) {
	for name, end := range map[string]func(*world, *orderly, hook.DeliveryKey){
		"taken": func(w *world, _ *orderly, _ hook.DeliveryKey) { w.answers(1, nil); time.Sleep(time.Hour) },
		"cancelled": func(w *world, _ *orderly, key hook.DeliveryKey) {
			_, err := w.d.Cancel(context.Background(), []*hook.Delivery{{Key: key, Attempts: 100}}, "by request")
			if err != nil {
				w.t.Error(err)
			}
		},
		"redelivered": func(w *world, o *orderly, key hook.DeliveryKey) { w.answers(1, nil); o.redeliver(key, 0) },
		"skipped": func(w *world, _ *orderly, _ hook.DeliveryKey) {
			w.change(1, func(e *hook.Endpoint) { e.SkipAfter = 2 })
			time.Sleep(time.Hour)
		},
		"not ordered any more": func(w *world, _ *orderly, _ hook.DeliveryKey) {
			w.change(1, func(e *hook.Endpoint) { e.Ordering = hook.Unordered })
		},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted: %v", name, restart), func(t *testing.T) {
				orderedWorld(t, func(e *hook.Endpoint) { e.Ordering = hook.OrderedStrict }, func(w *world, o *orderly) {
					bad := w.poisoned(500, func() *hook.Event { return w.publish(1) })
					for range 40 {
						w.publish(1)
					}
					time.Sleep(30 * 24 * time.Hour)
					if restart {
						w.crash()
						w.start()
					}
					w.publish(1)
					time.Sleep(30 * 24 * time.Hour)
					key := hook.DeliveryKey{Event: bad.ID, Endpoint: 1}
					if got := w.queue.count(); got[hook.Pending] != 1 || got[0] != 41 || w.queue.state(key) != hook.Pending {
						t.Errorf("after two months they are %v", got)
					}
					if n := len(w.seen(1)); n < 1000 || n > 1500 {
						t.Errorf("it was tried %d times in two months", n)
					}
					end(w, o, key)
					time.Sleep(2 * time.Second)
					if got := w.queue.count(); got[hook.Delivered] < 41 {
						t.Errorf("in the end they are %v", got)
					}
				})
			})
		}
	}
}

// One key that is held up holds up no other, nor an event without a key.
func TestOtherKeysGoOn(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted: %v", restart), func(t *testing.T) {
			orderedWorld(t, func(e *hook.Endpoint) { e.Ordering = hook.OrderedByKey }, func(w *world, _ *orderly) {
				w.poisoned(400, func() *hook.Event { return w.keyed("bad", 1) })
				for i := range 600 {
					w.keyed("bad", 1)
					w.keyed(fmt.Sprint(i%7), 1)
					w.keyed("", 1)
				}
				if restart {
					time.Sleep(time.Millisecond)
					w.crash()
					w.start()
				}
				time.Sleep(time.Minute)
				if got := w.queue.count(); got[hook.Delivered] != 1200 || got[0] != 600 || got[hook.Pending] != 1 {
					t.Errorf("they are %v", got)
				}
				w.answers(1, nil)
				time.Sleep(11 * time.Hour)
				if got := w.queue.count(); got[hook.Delivered] != 1801 {
					t.Errorf("in the end they are %v", got)
				}
			})
		})
	}
}

// What was held by a pause comes before what is published after it.
func TestResumeInOrder(t *testing.T) {
	orderedWorld(t, func(e *hook.Endpoint) { e.Ordering = hook.OrderedStrict }, func(w *world, _ *orderly) {
		var want []int
		for i := range 100 {
			if i == 20 {
				w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointPaused })
			}
			if i == 80 {
				w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointActive })
			}
			w.publish(1)
			time.Sleep(10 * time.Millisecond)
			want = append(want, i)
		}
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff(want, w.order()); diff != "" {
			t.Error(diff)
		}
	})
}

// An endpoint that is away for longer than a schedule loses nothing where its
// order is held, and what is old where it is not.
func TestAwayInOrder(t *testing.T) {
	for skip, want := range map[int]hook.DeliveryState{0: hook.Delivered, 3: hook.Failed} {
		t.Run(fmt.Sprint(skip), func(t *testing.T) {
			orderedWorld(t, func(e *hook.Endpoint) { e.Ordering, e.SkipAfter = hook.OrderedStrict, skip }, func(w *world, _ *orderly) {
				w.answers(1, func(context.Context, int) *egress.Result { return failure(egress.ClassRefused) })
				for range 300 {
					w.publish(1)
				}
				time.Sleep(10 * 24 * time.Hour)
				w.answers(1, nil)
				w.publish(1)
				time.Sleep(24 * time.Hour)
				if got := w.queue.count(); got[want] < 300 || got[want]+got[hook.Delivered] < 301 {
					t.Errorf("they are %v", got)
				}
			})
		})
	}
}

// Who waits can be told for what.
func TestWaitsFor(t *testing.T) {
	orderedWorld(t, func(e *hook.Endpoint) { e.Ordering = hook.OrderedByKey }, func(w *world, _ *orderly) {
		bad := w.poisoned(500, func() *hook.Event { return w.keyed("a", 1) })
		behind, other := w.keyed("a", 1), w.keyed("b", 1)
		time.Sleep(time.Second)
		key := func(e *hook.Event) hook.DeliveryKey { return hook.DeliveryKey{Event: e.ID, Endpoint: 1} }
		if first, ok := w.d.WaitsFor(key(behind), "a"); !ok || first != key(bad) {
			t.Errorf("it waits for %v, %v", first, ok)
		}
		for _, e := range []*hook.Event{bad, other} {
			if first, ok := w.d.WaitsFor(key(e), e.OrderingKey); ok {
				t.Errorf("%s waits for %v", e.OrderingKey, first)
			}
		}
	})
}

// Order is kept over restarts, on the engine itself: whatever fails, an event is
// sent again until it is taken, and no later one of its line before that.
func TestOrderOnAnEngine(t *testing.T) {
	t.Parallel()
	w, dir := newWorld(t, 3), t.TempDir()
	for num, by := range orderings {
		e := hook.EndpointNum(num + 1)
		w.change(e, func(e *hook.Endpoint) {
			e.Ordering, e.Schedule = by, []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond}
		})
		w.answers(e, func(_ context.Context, n int) *egress.Result { return status(200 + 300*(n%7/6)) })
	}
	keys, last, total := map[string]string{}, int64(0), 0
	for range 3 {
		s, d := w.startOn(t, dir, 30)
		for range 8 {
			b := &store.Batch{}
			for i := range 5 {
				id := hook.NextEventID(last, time.Now(), 9)
				last = id.Seq()
				keys[id.String()] = fmt.Sprint(i % 4)
				b.Events = append(b.Events, &hook.Event{ID: id, Tenant: 1, Type: "a.b", Time: time.Now(), Data: []byte(`{}`), OrderingKey: keys[id.String()],
					Targets: []hook.Target{{Endpoint: 1}, {Endpoint: 2}, {Endpoint: 3}}})
			}
			if err := s.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			total += len(b.Events)
			d.Offer(b.Events)
		}
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.finish(t, dir, total)
	newest := map[string]string{}
	for _, r := range w.seen(0) {
		line := fmt.Sprint(r.endpoint)
		switch r.endpoint {
		case 1:
			continue
		case 2:
			line += keys[r.id]
		}
		if r.id < newest[line] {
			t.Fatalf("line %s: %s came after %s", line, r.id, newest[line])
		}
		newest[line] = r.id
	}
}

// While a page is read of what is recorded as pending, nothing of a later event is
// sent, though it is due.
func TestOrderWaitsForPageThatIsRead(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.change(1, func(e *hook.Endpoint) { e.Ordering = hook.OrderedStrict })
		w.start()
		first := w.publish(1)
		time.Sleep(time.Second)
		w.answers(1, func(ctx context.Context, n int) *egress.Result {
			if n == 2 {
				return after(ctx, time.Millisecond, status(500))
			}
			return after(ctx, time.Millisecond, status(200))
		})
		second := w.publish(1) // to be sent again in a second
		time.Sleep(100 * time.Millisecond)
		w.queue.readDelay = 5 * time.Second
		key := hook.DeliveryKey{Event: first.ID, Endpoint: 1}
		_ = w.queue.Redeliver(t.Context(), hook.AllTenants, key, time.Now())
		w.d.Wake(key)
		time.Sleep(time.Minute)
		var got []string
		for _, r := range w.seen(1) {
			got = append(got, r.id)
		}
		a, b := first.ID.String(), second.ID.String()
		if diff := cmp.Diff([]string{a, b, a, b}, got); diff != "" {
			t.Errorf("order of requests (-want +got):\n%s", diff)
		}
		w.stop()
	})
}

// What is given back when its attempt had begun takes along what waits behind it:
// a lane that is full of what has to wait for it would never read it again.
func TestOrderOfWhatIsGivenBack(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.change(1, func(e *hook.Endpoint) { e.Ordering = hook.OrderedStrict })
		w.queue.readDelay = time.Second
		w.start()
		want, got := []string{w.publish(1).ID.String()}, []string(nil)
		time.Sleep(time.Second)
		w.put(&hook.Endpoint{Num: 1, TenantNum: 1, Dialect: "holds", State: hook.EndpointPaused, Ordering: hook.OrderedStrict}) // and nobody has told dispatch yet
		for range 12 {
			want = append(want, w.publish(1).ID.String())
		}
		synctest.Wait()
		w.put(&hook.Endpoint{Num: 1, TenantNum: 1, Dialect: "holds", State: hook.EndpointActive, Ordering: hook.OrderedStrict})
		time.Sleep(time.Minute)
		for _, r := range w.seen(1) {
			got = append(got, r.id)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order of requests (-want +got):\n%s", diff)
		}
		w.stop()
	})
}
