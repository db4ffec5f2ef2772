package dispatch_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"grapnel/internal/dispatch"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// A node that comes gets its part of the partitions, with what waits in them;
// whoever accepts an event, its deliveries are made by who holds their lanes, and
// once.
func TestPartitionsMoveToANodeThatComes(t *testing.T) {
	inCluster(t, 30, func(c *cluster) {
		c.slow = time.Millisecond
		a := c.node("a")
		c.answers(3, always(time.Millisecond, 500))
		for num := range hook.EndpointNum(30) {
			a.publish(num + 1)
		}
		time.Sleep(3 * time.Second)
		c.answers(3, nil)
		c.want(halves)
		b := c.node("b")
		time.Sleep(leaseLength)
		before := b.requests()
		for num := range hook.EndpointNum(30) {
			a.publish(num + 1)
			b.publish(num + 1)
		}
		time.Sleep(100 * time.Millisecond)
		c.log.mu.Lock()
		for _, e := range c.queue.events[30:] {
			if c.queue.records[hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[0].Endpoint}] == nil {
				t.Errorf("nobody has sent event %s to endpoint %d yet", e.ID, e.Targets[0].Endpoint)
			}
		}
		c.log.mu.Unlock()
		mine := 0
		for num := range hook.EndpointNum(30) {
			if c.ownerOf(num+1) == "b" {
				mine += 2
			}
		}
		if got := b.requests() - before; mine == 0 || got != mine {
			t.Errorf("node b made %d requests of new deliveries, want %d", got, mine)
		}
		time.Sleep(time.Hour)
		c.delivered()
		a.stop(context.Background())
		b.stop(context.Background())
		if got, want := len(c.seen(0)), len(c.queue.tried()); got != want {
			t.Errorf("%d requests, and %d attempts are recorded", got, want)
		}
	})
}

// What is stored while the end of the log is read under the lease before, which did not
// cover the partitions that have come since, is sent all the same.
func TestNothingIsPassedOverWhilePartitionsCome(t *testing.T) {
	inCluster(t, 30, func(c *cluster) {
		a := c.node("a")
		c.want(halves)
		c.far = time.Second // longer than it takes to list what comes
		b := c.node("b")
		time.Sleep(leaseLength)
		c.want(all("b"))
		for range 40 {
			time.Sleep(100 * time.Millisecond)
			for num := range hook.EndpointNum(30) {
				a.publish(num + 1)
			}
		}
		time.Sleep(time.Minute)
		c.delivered()
		a.stop(context.Background())
		b.stop(context.Background())
	})
}

// A node starts although partitions that it lists are another one's by then, and delivers
// what it still has.
func TestStartWhilePartitionsMoveOn(t *testing.T) {
	inCluster(t, 30, func(c *cluster) {
		c.list = leaseLength
		for num := range hook.EndpointNum(30) {
			c.store(num + 1)
		}
		time.AfterFunc(time.Millisecond, func() { c.want(halves) })
		a := c.node("a")
		b := c.node("b")
		time.Sleep(time.Minute)
		c.delivered()
		if a.requests() == 0 || a.requests()+b.requests() != 30 {
			t.Errorf("%d and %d requests", a.requests(), b.requests())
		}
		for _, n := range []*node{a, b} {
			n.stop(context.Background())
		}
	})
}

// What had begun of a partition that is given up ends, and is recorded, before
// another node has it: nothing is repeated. What has not begun is the other's.
func TestOrderlyHandOver(t *testing.T) {
	inCluster(t, 20, func(c *cluster) {
		a, b := c.node("a"), c.node("b")
		for num := range hook.EndpointNum(20) {
			c.answers(num+1, always(3*time.Second, 200))
		}
		for range 20 {
			for num := range hook.EndpointNum(20) {
				a.publish(num + 1)
			}
		}
		synctest.Wait()
		began := a.requests()
		c.want(all("b"))
		time.Sleep(2 * time.Second)
		if a.requests() != began {
			t.Errorf("%d requests began in partitions that were given up", a.requests()-began)
		}
		time.Sleep(5 * time.Second)
		if b.requests() == 0 {
			t.Error("the other node has not begun")
		}
		time.Sleep(time.Minute)
		c.once()
		c.delivered()
		a.stop(context.Background())
		b.stop(context.Background())
	})
}

// A node that stops gives at once what nothing is under way of.
func TestStopHandsOver(t *testing.T) {
	inCluster(t, 20, func(c *cluster) {
		a, b := c.node("a"), c.node("b")
		c.answers(1, always(20*time.Second, 200))
		c.answers(2, hangs)
		a.publish(1)
		a.publish(2)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stopped := make(chan struct{})
		begin := time.Now()
		go func() {
			a.stop(ctx)
			close(stopped)
		}()
		time.Sleep(leaseLength)
		for num := hook.EndpointNum(3); num <= 20; num++ {
			a.publish(num) // what it still accepts is the other's
		}
		time.Sleep(100 * time.Millisecond)
		if b.requests() == 0 {
			t.Error("the other node waits for all partitions")
		}
		<-stopped
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("stopping took %s", took)
		}
		c.answers(1, nil)
		c.answers(2, nil)
		time.Sleep(time.Minute)
		c.delivered()
		if got := len(c.seen(0)); got != 22 { // those broken off, and again
			t.Errorf("%d requests, want 22", got)
		}
		b.stop(context.Background())
	})
}

// A renewal that is due while a stopping node gives its last partitions back is not made:
// the store has forgotten the node by then.
func TestStopEndsRenewals(t *testing.T) {
	inCluster(t, 20, func(c *cluster) {
		a := c.node("a")
		a.seat.lag = leaseLength / 2
		a.stop(context.Background())
	})
}

// A node that cannot reach the store does not send any more when its lease ends,
// and another one takes over. What it had under way changes nothing (I10, cases
// 26 and 27), and it goes on by itself later.
func TestLostLeaseWithAttemptsInFlight(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		a, b := c.node("a"), c.node("b")
		for num := range hook.EndpointNum(4) {
			c.answers(num+1, always(5*time.Second, 500))
			a.publish(num + 1)
		}
		time.Sleep(time.Second)
		a.cut(true)
		cut := time.Now()
		for num := range hook.EndpointNum(4) {
			c.answers(num+1, always(time.Millisecond, 200))
			b.publish(num + 1)
		}
		time.Sleep(2 * leaseLength)
		if got := b.requests(); got != 8 {
			t.Errorf("two leases after the cut the other node made %d requests, want 8", got)
		}
		if got := a.requests(); got != 4 {
			t.Errorf("%d requests of the node that is cut off, want 4", got)
		}
		time.Sleep(10 * time.Second)
		a.cut(false)
		time.Sleep(5 * time.Second)
		c.delivered()
		for _, at := range c.queue.tried() {
			if at.N != 1 || at.Status != 200 || at.At.Before(cut) {
				t.Errorf("an attempt of the node that was cut off is recorded: %+v", at)
			}
		}
		c.want(all("a"))
		time.Sleep(2 * time.Second)
		b.publish(1)
		time.Sleep(time.Second)
		if a.requests() != 5 {
			t.Error("it does not go on when it has the lease again")
		}
		a.stop(context.Background())
		b.stop(context.Background())
	})
}

// While the store cannot be reached a node stops before its lease ends, even if
// nobody takes over; and goes on where it was.
func TestNothingBeginsWithoutProof(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		a := c.node("a")
		for num := range hook.EndpointNum(3) {
			c.answers(num+1, always(10*time.Millisecond, 200))
		}
		e := a.publish(1)
		time.Sleep(time.Second)
		c.answers(2, always(1500*time.Millisecond, 200))
		a.publish(2)
		time.Sleep(time.Millisecond)
		a.cut(true)
		cut := time.Now()
		for time.Since(cut) < 10*time.Second {
			e = a.publish(hook.EndpointNum(1))
			time.Sleep(100 * time.Millisecond)
		}
		last := lastOf(c.seen(1))
		if late := last.at.Sub(cut); late >= leaseLength {
			t.Errorf("a request began %s after the store could be reached last", late)
		}
		a.cut(false)
		time.Sleep(5 * time.Second)
		if c.queue.state(hook.DeliveryKey{Event: e.ID, Endpoint: 1}) != hook.Delivered {
			t.Error("it does not go on by itself")
		}
		c.once()
		c.delivered()
		if got := len(c.log.went); got != store.Partitions {
			t.Errorf("partitions changed hands %d times, want %d", got, store.Partitions)
		}
		a.stop(context.Background())
	})
}

// A process that was stopped looks at its lease before it sends (case 27).
func TestNodeThatWakesLateSendsNothing(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		a := c.node("a")
		a.publish(1)
		time.Sleep(time.Second)
		b := c.node("b")
		wake := make(chan struct{})
		a.mu.Lock()
		a.frozen = wake
		a.mu.Unlock()
		a.publish(1)
		synctest.Wait()
		a.cut(true)
		time.Sleep(3 * leaseLength)
		if a.asked == 0 || b.requests() != 1 {
			t.Errorf("%d attempts were stopped, the other node made %d requests", a.asked, b.requests())
		}
		a.mu.Lock()
		a.frozen = nil
		a.mu.Unlock()
		close(wake)
		a.cut(false)
		time.Sleep(time.Minute)
		if a.requests() != 1 {
			t.Errorf("%d requests of the node that slept, want 1", a.requests())
		}
		c.once()
		c.delivered()
		a.stop(context.Background())
		b.stop(context.Background())
	})
}

// case 30: a request that takes as long as it may, sixty leases, is made once: its node
// holds the lease meanwhile, and nobody takes what is in flight for lost.
func TestLongestRequestIsMadeOnce(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		const limit = time.Minute
		a, b := c.node("a"), c.node("b")
		for num := range hook.EndpointNum(4) {
			c.change(num+1, func(e *hook.Endpoint) { e.Timeout = limit })
			c.answers(num+1, always(limit-time.Millisecond, 200))
		}
		time.Sleep(2 * leaseLength) // the partitions are shared out
		for num := range hook.EndpointNum(4) {
			a.publish(num + 1)
		}
		time.Sleep(10 * limit)
		if n := a.requests() + b.requests(); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}
		c.once()
		c.delivered()
		a.stop(context.Background())
		b.stop(context.Background())
	})
}

// What other nodes store comes before what was stored later, where that matters,
// however late it is known.
func TestOrderAcrossNodes(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		o := watchOrder(c.world)
		c.net = o
		c.change(1, func(e *hook.Endpoint) { e.Ordering = hook.OrderedStrict })
		c.want(all("a"))
		a, b := c.node("a"), c.node("b")
		for range 300 {
			b.publish(1, 2)
			a.publish(1)
			a.publish(1, 2)
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		c.once()
		c.delivered()
		a.stop(context.Background())
		b.stop(context.Background())
	})
}

func TestLeaseThatCannotBeSafeIsRefused(t *testing.T) { // case 29
	t.Parallel()
	for every, ok := range map[time.Duration]bool{0: false, time.Second: true, 5 * time.Second: true, 5001 * time.Millisecond: false, time.Minute: false} {
		if err := dispatch.CheckLease(15*time.Second, every); (err == nil) != ok {
			t.Errorf("renewed every %s: %v", every, err)
		}
	}
}

// However partitions move among nodes that come and go, each delivery is made,
// none twice, and the order of lanes is kept; and where nodes are cut off, none
// is repeated but what was under way then.
func TestMovesAtRandom(t *testing.T) {
	t.Parallel()
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{"publish", "publish", "publish", "move", "move", "behave", "sleep", "restart", "cut"}), 1, 20)
	rapid.Check(t, func(rt *rapid.T) {
		seed, todo := rapid.Uint64().Draw(rt, "seed"), steps.Draw(rt, "steps")
		orderly := rapid.Bool().Draw(rt, "orderly")
		var problems []string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 12)
			w.t = collector{t, &problems}
			w.queue.t = w.t
			newCluster(w).random(seed, todo, orderly)
		})
		if len(problems) > 0 {
			rt.Fatal(problems[:min(len(problems), 10)])
		}
	})
}

func (c *cluster) random(seed uint64, steps []string, orderly bool) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	c.tune = func(config *dispatch.Config) {
		config.MaxInFlight = 4 + int(seed%64)
		if seed%3 > 0 {
			config.Memory = 8<<10 + int(seed%100)<<10
		}
		config.Wide = 2 + int(seed%3)
	}
	for num := range hook.EndpointNum(12) {
		c.change(num+1, func(e *hook.Endpoint) {
			e.Ordering = orderings[int(num)%len(orderings)]
			e.Schedule = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 20 * time.Second, 20 * time.Second, 20 * time.Second}
		})
	}
	if orderly {
		c.net = watchOrder(c.world)
	}
	c.queue.readDelay = time.Duration(seed%7) * 3 * time.Millisecond
	c.queue.recordDelay = time.Duration(seed%5) * 2 * time.Millisecond
	c.queue.recordLag = time.Duration(seed%3) * 2 * time.Millisecond
	c.slow = time.Duration(seed%4) * 4 * time.Millisecond
	c.far = time.Duration(seed%6) * 8 * time.Millisecond
	nodes := []*node{c.node("a"), c.node("b"), c.node("c")}
	stopped := 0 // requests that a stop or a cut may have let be repeated
	for _, step := range steps {
		switch step {
		case "publish":
			c.publishAtRandom(nodes, rnd)
		case "move":
			from := rnd.IntN(3)
			c.want(func(p int) string { return nodes[(p*from+rnd.IntN(2))%3].name })
		case "behave":
			if num := hook.EndpointNum(rnd.IntN(12) + 1); orderly {
				c.answers(num, always(time.Duration(rnd.IntN(1000))*time.Millisecond, 200+300*rnd.IntN(2)))
			} else {
				c.answers(num, behaviours[rnd.IntN(len(behaviours))])
			}
		case "sleep":
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		case "restart":
			i := rnd.IntN(3)
			nodes[i].stop(context.Background())
			nodes[i] = c.node(nodes[i].name)
		case "cut":
			if orderly {
				continue
			}
			i := rnd.IntN(3)
			nodes[i].cut(true)
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			stopped++
			nodes[i].cut(false)
		}
	}
	for num := range hook.EndpointNum(12) {
		c.answers(num+1, nil)
	}
	time.Sleep(5 * time.Minute)
	if n := c.queue.count(); n[0]+n[hook.Pending]+n[hook.Held] != 0 {
		c.t.Errorf("in the end the deliveries are %v", n)
	}
	if extra := len(c.seen(0)) - len(c.queue.tried()); extra > 0 && stopped == 0 {
		c.t.Errorf("%d requests were repeated, and no lease was lost", extra)
	}
	for _, n := range nodes {
		n.stop(context.Background())
	}
	if c.queue.behind() != 0 {
		c.t.Errorf("%d lanes are still behind", c.queue.behind())
	}
}

// publishAtRandom lets all nodes accept events at once.
func (c *cluster) publishAtRandom(nodes []*node, rnd *rand.Rand) {
	var all sync.WaitGroup
	for _, n := range nodes {
		own := rand.New(rand.NewPCG(rnd.Uint64(), 1))
		all.Go(func() {
			for range own.IntN(60) {
				num := hook.EndpointNum(own.IntN(12) + 1)
				n.publish(num, num%12+1)
				if own.IntN(3) == 0 {
					time.Sleep(time.Duration(own.IntN(6000)) * time.Microsecond)
				}
			}
		})
	}
	all.Wait()
}
