package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// Ten thousand endpoints cannot be reached for ten minutes, for our own way out
// is down (case 61).
func TestOwnOutage(t *testing.T) {
	const tenants, endpoints = 100, 100
	run(t, tenants, endpoints, nil, func(w *world) {
		var ids []string
		traffic := func(seconds int) {
			for range seconds {
				var some []target
				for range 30 {
					some = append(some, target{w.random.IntN(tenants), w.random.IntN(endpoints)})
				}
				ids = append(ids, w.publish(some...)...)
				time.Sleep(time.Second)
			}
		}
		for n := range tenants {
			var all []target
			for e := range endpoints {
				all = append(all, target{n, e})
			}
			ids = append(ids, w.publish(all...)...)
		}
		traffic(10)
		w.answers(func(*rand.Rand, string) reply {
			return reply{after: 10 * time.Second, class: egress.ClassTimeoutConnect}
		})
		down := time.Now()
		traffic(600)
		burnt := len(w.net.since(down))
		w.answers(healthy)
		back := time.Now()
		traffic(30)
		w.drained(2 * time.Hour)
		series := perSecond(w.net.since(back), back, 30)
		// What had waited goes out in the seconds that see more than the traffic.
		after := slices.IndexFunc(series, func(n int) bool { return n > 60 })
		most, sum, busy := 0, 0, 0
		for _, n := range series {
			if n > 60 {
				most, sum, busy = max(most, n), sum+n, busy+1
			}
		}
		t.Logf("seed %d: %d requests in 10 minutes of outage; requests per second after it: %v", *seed, burnt, series)
		if after < 0 || after > 5 || busy < 5 || most*busy > 3*sum {
			t.Errorf("seed %d: it went on after %d s, for %d s, with at most %d requests in a second of %d in all", *seed, after, busy, most, sum)
		}
		if burnt > 1500 {
			t.Errorf("seed %d: %d requests were made during the outage", *seed, burnt)
		}
		if g := w.Dispatch.Gauges(); g.Broken > 0 {
			t.Errorf("seed %d: %d endpoints are held to be dead", *seed, g.Broken)
		}
		w.delivered(ids)
	})
}

// An endpoint is back after an hour with many deliveries due (-due): it gets at most
// 1.1 times its rate in any second, begins slowly, and what is new goes out one
// for one with what has waited (case 60).
func TestBackAfterAnHour(t *testing.T) {
	const rate, most = 500, 50
	run(t, 1, 1, nil, func(w *world) {
		ctx := t.Context()
		list := w.Book.Endpoints("seed-0")
		if len(list) != 1 {
			t.Fatalf("%d endpoints", len(list))
		}
		if _, err := w.Manager.UpdateEndpoint(ctx, "seed-0", list[0].ID, manage.EndpointInput{RateLimit: ptr(float64(rate)), MaxInFlight: ptr(most)}); err != nil {
			t.Fatal(err)
		}
		w.answers(func(*rand.Rand, string) reply { return reply{after: time.Millisecond, class: egress.ClassRefused} })
		burst := slices.Repeat([]target{{0, 0}}, *due/200)
		var ids []string
		for range 200 {
			ids = append(ids, w.publish(burst...)...)
			time.Sleep(18 * time.Second)
		}
		down := len(w.net.since(time.Time{}))
		w.answers(healthy)
		clear(w.net.peak)
		back := time.Now()
		fresh := map[string]time.Time{}
		for range 60 * 10 {
			for _, id := range w.publish(slices.Repeat([]target{{0, 0}}, 20)...) { // 200 a second
				ids = append(ids, id)
				fresh[id] = time.Now()
			}
			time.Sleep(100 * time.Millisecond)
		}
		w.drained(time.Hour)
		all := w.net.since(back)
		first, worst := 0, 0
		var waits []time.Duration
		for i, s := range all {
			for all[first].at.Add(time.Second).Compare(s.at) <= 0 {
				first++
			}
			worst = max(worst, i-first+1)
			if at, ok := fresh[s.id]; ok && at.Sub(back) > 35*time.Second {
				waits = append(waits, s.at.Sub(at))
			}
		}
		slices.Sort(waits)
		series := perSecond(all, all[0].at, 10)
		t.Logf("seed %d: %d requests while it was down; then %v in the first seconds, at most %d in any second; fresh events wait %s, p99 %s", *seed,
			down, series, worst, waits[len(waits)/2], waits[len(waits)*99/100])
		if worst > rate*11/10 || w.net.peak[hostOf(0, 0)] > most {
			t.Errorf("seed %d: %d requests within a second, %d at once", *seed, worst, w.net.peak[hostOf(0, 0)])
		}
		if p99 := waits[len(waits)*99/100]; p99 > time.Second {
			t.Errorf("seed %d: fresh events wait %s behind the backlog", *seed, p99)
		}
		w.delivered(ids)
	})
}

func ptr[T any](v T) *T { return &v }

// Places are scarce, and all tenants have more to send than there are places
// for: one with many endpoints gets no more than one with few.
func TestTenantsShareScarcePlaces(t *testing.T) {
	const tenants, endpoints = 40, 25
	run(t, tenants, endpoints, func(c *dispatch.Config) { c.MaxInFlight = 64 }, func(w *world) {
		w.answers(func(random *rand.Rand, _ string) reply {
			return reply{after: 50*time.Millisecond + time.Duration(random.Int64N(int64(100*time.Millisecond))), status: 200}
		})
		var all []target
		for range 200 {
			for n := range tenants {
				if n > 0 {
					all = append(all, target{n, 0}) // one endpoint each
					continue
				}
				for e := range endpoints {
					all = append(all, target{0, e})
				}
			}
		}
		begin := time.Now()
		ids := w.publish(all...)
		w.drained(time.Hour)
		shares := make([]float64, tenants)
		for _, s := range w.net.since(begin) {
			if s.at.Sub(begin) > 2*time.Second && s.at.Sub(begin) < 12*time.Second {
				for n := range shares {
					if strings.HasSuffix(s.host, hostOf(n, 0)[2:]) {
						shares[n]++
					}
				}
			}
		}
		index := jain(shares)
		t.Logf("seed %d: requests of each tenant in ten seconds: %v; Jain's index %.3f", *seed, shares, index)
		if index < 0.95 {
			t.Errorf("seed %d: Jain's index is %.3f", *seed, index)
		}
		w.delivered(ids)
	})
}

// Two days with healthy, slow, flapping endpoints, and ones that are dead for
// hours: what can be delivered is, and no minute sees a rush of retries.
func TestTwoDays(t *testing.T) {
	const tenants, endpoints = 20, 15
	run(t, tenants, endpoints, nil, func(w *world) {
		begin := time.Now()
		w.answers(func(random *rand.Rand, host string) reply {
			since := time.Since(begin)
			switch host[1] {
			case '1': // flaps
				if since/(7*time.Minute)%4 == 1 {
					return reply{after: time.Millisecond, status: 503}
				}
			case '2': // dead for six hours
				if since > 6*time.Hour && since < 12*time.Hour {
					return reply{after: 10 * time.Second, class: egress.ClassTimeoutConnect}
				}
			case '3':
				return reply{after: 3*time.Second + time.Duration(random.Int64N(int64(4*time.Second))), status: 200}
			}
			return healthy(random, host)
		})
		var ids []string
		for range 24 * 60 / 2 {
			var some []target
			for range 20 {
				some = append(some, target{w.random.IntN(tenants), w.random.IntN(endpoints)})
			}
			ids = append(ids, w.publish(some...)...)
			time.Sleep(2 * time.Minute)
		}
		w.drained(100 * time.Hour)
		all := w.net.since(begin)
		perMinute := map[int]int{}
		for _, s := range all {
			perMinute[int(s.at.Sub(begin)/time.Minute)]++
		}
		most := 0
		for _, n := range perMinute {
			most = max(most, n)
		}
		t.Logf("seed %d: %d events, %d requests, at most %d in a minute", *seed, len(ids), len(all), most)
		if most > 20*20 {
			t.Errorf("seed %d: %d requests in one minute", *seed, most)
		}
		for _, e := range w.Book.Endpoints("seed-0") {
			if e.State != hook.EndpointActive {
				t.Errorf("seed %d: an endpoint is %s", *seed, e.State)
			}
		}
		w.delivered(ids)
	})
}

// Two endpoints are paused for a day while events come at a pace (-pace), and go on
// with what was held beside what is new: nothing is missing and nothing comes twice, one
// gets no more than its rate, the other gets all in the order in which it was published.
func TestPausedForADay(t *testing.T) {
	const rate = 200
	run(t, 1, 2, nil, func(w *world) {
		ctx := t.Context()
		change := func(in manage.EndpointInput, which ...int) {
			for _, i := range which {
				if _, err := w.Manager.UpdateEndpoint(ctx, "seed-0", w.Book.Endpoints("seed-0")[i].ID, in); err != nil {
					t.Fatal(err)
				}
			}
		}
		change(manage.EndpointInput{RateLimit: ptr(float64(rate))}, 0)
		change(manage.EndpointInput{Ordering: ptr(hook.OrderedStrict)}, 1)
		change(manage.EndpointInput{State: ptr(hook.EndpointPaused)}, 0, 1)
		w.answers(func(*rand.Rand, string) reply { return reply{after: time.Millisecond, status: 200} })
		var ids [2][]string
		const every = 100 * time.Second
		come := func(span time.Duration) {
			for range int(span / every) {
				for i := range ids {
					ids[i] = append(ids[i], w.publish(slices.Repeat([]target{{0, i}}, int(*pace*every.Seconds()))...)...)
				}
				time.Sleep(every)
			}
		}
		come(24 * time.Hour)
		if early := len(w.net.since(time.Time{})); early > 0 {
			t.Fatalf("seed %d: %d requests were made to paused endpoints", *seed, early)
		}
		back := time.Now()
		change(manage.EndpointInput{State: ptr(hook.EndpointActive)}, 0, 1)
		come(time.Hour)
		w.drained(24 * time.Hour)
		var got [2][]string
		var times []time.Time
		for _, s := range w.net.since(back) {
			i := 0
			if s.host == hostOf(0, 1) {
				i = 1
			} else {
				times = append(times, s.at)
			}
			got[i] = append(got[i], s.id)
		}
		first, worst := 0, 0
		for i, at := range times {
			for !times[first].Add(time.Second).After(at) {
				first++
			}
			worst = max(worst, i-first+1)
		}
		t.Logf("seed %d: %d and %d events, held for a day or new; %d and %d requests; at most %d in any second, all over after %s", *seed,
			len(ids[0]), len(ids[1]), len(got[0]), len(got[1]), worst, times[len(times)-1].Sub(back).Round(time.Second))
		if worst > rate*11/10 {
			t.Errorf("seed %d: %d requests within a second", *seed, worst)
		}
		if !slices.Equal(got[1], ids[1]) {
			t.Errorf("seed %d: %d requests in order, want %d in another one", *seed, len(got[1]), len(ids[1]))
		}
		slices.Sort(got[0])
		if !slices.Equal(got[0], slices.Sorted(slices.Values(ids[0]))) {
			t.Errorf("seed %d: %d requests, want one for each of %d events", *seed, len(got[0]), len(ids[0]))
		}
	})
}
