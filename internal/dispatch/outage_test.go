package dispatch_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// way is a way out that can break.
type way struct {
	broken atomic.Bool
	took   time.Duration // until a request fails
	class  string
}

func (y *way) through(ctx context.Context, _ int) *egress.Result {
	if y.broken.Load() {
		return after(ctx, y.took, failure(y.class))
	}
	return after(ctx, time.Duration(rand.N(40)+1)*time.Millisecond, status(200))
}

// Our own way out is down for ten minutes: no endpoint is held to be dead,
// nothing counts against a schedule, few attempts are burnt, and what has waited
// goes out evenly within seconds (case 61).
func TestOwnOutage(t *testing.T) {
	for name, y := range map[string]*way{
		"refused at once": {class: egress.ClassConnect, took: time.Millisecond},
		"no answer":       {class: egress.ClassTimeoutConnect, took: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			const endpoints = 1000
			inBubble(t, endpoints, func(w *world) {
				for num := range hook.EndpointNum(endpoints) {
					w.answers(num+1, y.through)
				}
				w.start()
				publish := func(span time.Duration) {
					for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
						w.publish(hook.EndpointNum(rand.N(endpoints) + 1))
					}
				}
				for num := range hook.EndpointNum(endpoints) {
					w.publish(num + 1)
					time.Sleep(time.Millisecond)
				}
				publish(10 * time.Second)
				y.broken.Store(true)
				publish(time.Minute)
				if _, down := w.d.Unreachable(); !down {
					t.Error("a minute without any answer is not taken for an outage")
				}
				from := len(w.seen(0))
				publish(9 * time.Minute)
				if burnt := len(w.seen(0)) - from; burnt > 9*60+30 {
					t.Errorf("%d requests were made in 9 minutes of an outage", burnt)
				}
				if g := w.d.Gauges(); g.Broken > 0 {
					t.Errorf("%d endpoints are held to be dead", g.Broken)
				}
				from = len(w.seen(0))
				y.broken.Store(false)
				back := time.Now()
				publish(40 * time.Second)
				time.Sleep(2 * time.Hour)
				inSecond := [25]int{}
				for _, r := range w.seen(0)[from:] {
					if s := int(r.at.Sub(back) / time.Second); s >= 0 && s < len(inSecond) {
						inSecond[s]++
					}
				}
				first, most, sum := -1, 0, 0
				for s, n := range inSecond {
					if n > 60 && first < 0 {
						first = s
					}
					if first >= 0 {
						most, sum = max(most, n), sum+n
					}
				}
				t.Logf("requests per second after the outage: %v", inSecond)
				if mean := sum / (len(inSecond) - first); first > 3 || most > 3*mean {
					t.Errorf("it goes on after %d s with %d requests in a second at most, %d on average", first, most, mean)
				}
				c := w.queue.count()
				if c[hook.Delivered] != len(w.queue.events) || len(w.acted()) > 0 {
					t.Errorf("of %d deliveries became %v; done to endpoints: %v", len(w.queue.events), c, w.acted())
				}
				excused := 0
				for _, a := range w.queue.attempts {
					if strings.Contains(a.Reason, "own network") {
						excused++
					}
				}
				if excused < 10 {
					t.Errorf("%d attempts are excused", excused)
				}
				w.stop()
			})
		})
	}
}

// What is no outage of ours: a third of all endpoints dead, one host with many
// endpoints down, or few endpoints, all of them down.
func TestNotOurOutage(t *testing.T) {
	for name, c := range map[string]struct {
		endpoints int
		dead      func(num hook.EndpointNum) bool
		base      string
	}{
		"a third":     {endpoints: 300, dead: func(num hook.EndpointNum) bool { return num%3 == 0 }},
		"most":        {endpoints: 300, dead: func(num hook.EndpointNum) bool { return num%8 != 0 }},
		"one host":    {endpoints: 500, dead: func(hook.EndpointNum) bool { return true }, base: "https://large.example.com/"},
		"few of them": {endpoints: 9, dead: func(hook.EndpointNum) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.endpoints, func(w *world) {
				var broken atomic.Bool
				for num := range hook.EndpointNum(c.endpoints) {
					w.answers(num+1, func(ctx context.Context, n int) *egress.Result {
						if broken.Load() && c.dead(num+1) {
							return after(ctx, 10*time.Millisecond, failure(egress.ClassRefused))
						}
						return after(ctx, 10*time.Millisecond, status(200))
					})
				}
				w.base = c.base
				for num := range hook.EndpointNum(c.endpoints) {
					w.change(num+1, func(*hook.Endpoint) {})
				}
				w.start()
				for i := range 10_000 {
					if i == 3000 {
						broken.Store(true)
					}
					w.publish(hook.EndpointNum(rand.N(c.endpoints) + 1))
					time.Sleep(5 * time.Millisecond)
					if _, down := w.d.Unreachable(); down {
						t.Fatalf("after %d events it is taken for an outage", i)
					}
				}
				synctest.Wait()
				over, cancel := context.WithCancel(context.Background())
				cancel()
				if err := w.d.Stop(over); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
