package sim

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/ingest"
	"grapnel/internal/keyring"
	"grapnel/internal/serve/offline"
	"grapnel/internal/vendortest"
)

var (
	seed = flag.Uint64("seed", 1, "what the network and the traffic are made from")
	due  = flag.Int("due", 20_000, "deliveries that are due when an endpoint is back after an hour")
	pace = flag.Float64("pace", .1, "events a second while two endpoints are paused for a day")
)

// reply is what a host does with a request: after a time it answers a status, or
// fails with a class of egress.
type reply struct {
	after  time.Duration
	status int
	class  string
}

// seen is a request that came to a host.
type seen struct {
	at   time.Time
	host string
	id   string
	ok   bool
}

// network plays all hosts.
type network struct {
	mu      sync.Mutex
	random  *rand.Rand
	answer  func(random *rand.Rand, host string) reply
	seen    []seen
	running map[string]int
	peak    map[string]int
}

// Do implements dispatch.Egress.
func (n *network) Do(ctx context.Context, r *egress.Request) *egress.Result {
	at := time.Now()
	host, _, _ := strings.Cut(strings.TrimPrefix(r.URL, "https://"), "/")
	var id string
	for _, h := range r.Header {
		if strings.EqualFold(h.Name, "webhook-id") {
			id = h.Value
		}
	}
	n.mu.Lock()
	reply := n.answer(n.random, host)
	n.seen = append(n.seen, seen{at: at, host: host, id: id, ok: reply.status/100 == 2})
	n.running[host]++
	n.peak[host] = max(n.peak[host], n.running[host])
	n.mu.Unlock()
	res := &egress.Result{At: at, Status: reply.status, Class: reply.class, Proto: "HTTP/1.1"}
	select {
	case <-time.After(reply.after):
	case <-ctx.Done():
		res.Status, res.Class = 0, egress.ClassCanceled
	}
	n.mu.Lock()
	n.running[host]--
	n.mu.Unlock()
	res.Timing.Total = time.Since(at)
	return res
}

// since are the requests from a time on.
func (n *network) since(from time.Time) (some []seen) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.seen {
		if !s.at.Before(from) {
			some = append(some, s)
		}
	}
	return some
}

// world is a site with its tenants, and the network around it.
type world struct {
	*vendortest.Site
	t      *testing.T
	net    *network
	random *rand.Rand
}

// run plays a simulation with tenants that have as many endpoints each, every
// one on a host of its own.
func run(t *testing.T, tenants, endpoints int, tune func(*dispatch.Config), play func(w *world)) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		err := offline.Seed(t.Context(), offline.SeedPlan{
			Dir: dir, Tenants: tenants, Endpoints: endpoints, Type: typeOf,
			URL: func(tenant, endpoint int) string { return "https://" + hostOf(tenant, endpoint) + "/hooks" },
		})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, random: rand.New(rand.NewPCG(*seed, 1)), net: &network{
			random: rand.New(rand.NewPCG(*seed, 2)), running: map[string]int{}, peak: map[string]int{},
			answer: healthy,
		}}
		w.Site = vendortest.NewSite(t, dir, keyring.Source{File: filepath.Join(dir, offline.KeyName)}, w.net, tune)
		defer w.Close(t)
		play(w)
	})
}

func typeOf(_, endpoint int) string { return fmt.Sprintf("kind.n%d", endpoint) }

func hostOf(tenant, endpoint int) string { return fmt.Sprintf("e%d.t%d.example.com", endpoint, tenant) }

func healthy(random *rand.Rand, _ string) reply {
	return reply{after: 5*time.Millisecond + time.Duration(random.Int64N(int64(40*time.Millisecond))), status: 200}
}

// target is an endpoint that an event is for.
type target struct{ tenant, endpoint int }

// publish publishes an event for each target in one call, and gives their ids.
func (w *world) publish(targets ...target) (ids []string) {
	w.t.Helper()
	for len(targets) > 0 {
		part := targets[:min(len(targets), 500)]
		targets = targets[len(part):]
		var s ingest.Submission
		for _, to := range part {
			s.Items = append(s.Items, ingest.Item{Tenant: fmt.Sprintf("seed-%d", to.tenant), Type: typeOf(to.tenant, to.endpoint), Data: []byte(`{"n":1}`)})
		}
		results, _, err := w.Ingest.Publish(w.t.Context(), &s)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil || r.Matched != 1 {
				w.t.Fatalf("an event goes to %d endpoints: %v", r.Matched, r.Err)
			}
			ids = append(ids, r.ID.String())
		}
	}
	return ids
}

// answers changes what the network does from now on.
func (w *world) answers(f func(random *rand.Rand, host string) reply) {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	w.net.answer = f
}

// drained waits until nothing is pending, at most for span.
func (w *world) drained(span time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(time.Minute) {
		if _, all := w.Dispatch.Pending(0); all == 0 {
			return
		}
	}
	_, all := w.Dispatch.Pending(0)
	w.t.Errorf("seed %d: after %s still %d deliveries are pending", *seed, span, all)
}

// delivered fails the test unless each event was taken by its host.
func (w *world) delivered(ids []string) {
	w.t.Helper()
	got := map[string]bool{}
	for _, s := range w.net.since(time.Time{}) {
		if s.ok {
			got[s.id] = true
		}
	}
	lost := 0
	for _, id := range ids {
		if !got[id] {
			lost++
		}
	}
	if lost > 0 {
		w.t.Errorf("seed %d: %d of %d events were not delivered", *seed, lost, len(ids))
	}
}

// perSecond counts requests by the second since a time.
func perSecond(all []seen, from time.Time, seconds int) []int {
	n := make([]int, seconds)
	for _, s := range all {
		if at := int(s.at.Sub(from) / time.Second); at >= 0 && at < seconds {
			n[at]++
		}
	}
	return n
}

// jain is Jain's index of fairness: 1 if all get the same, 1/n if one gets all.
func jain(shares []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range shares {
		sum, squares = sum+x, squares+x*x
	}
	return sum * sum / (float64(len(shares)) * squares)
}
