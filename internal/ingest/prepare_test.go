package ingest_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

// start publishes an event, and does not wait for it.
func (b *bench) start(t *testing.T, it ingest.Item) {
	go func() {
		if _, _, err := b.Publish(t.Context(), submission("", it)); err != nil {
			t.Error(err)
		}
	}()
}

// slow is a bench where an event of bolt takes a second to match, and commits wait for
// the gate.
func slow(t *testing.T) (b *bench, matched *atomic.Int32) {
	matched = new(atomic.Int32)
	b = setup(t, func(c *ingest.Config) {
		c.Policy = func(name string) ingest.Policy {
			p := policyOf(name)
			if name == "smake" {
				p.EventName = func(eventType string) string {
					matched.Add(1)
					time.Sleep(time.Second)
					return eventType
				}
			}
			return p
		}
	})
	b.put(t, of("smake", ep(11, 2)))
	b.journal.gate = make(chan struct{})
	b.start(t, item("acme", "", "a", `0`)) // is being committed
	synctest.Wait()
	return b, matched
}

// What matching a tenant's events costs is never spent while everybody waits, also when
// its endpoints change meanwhile: who publishes matches them again.
func TestCostlyMatchesAreTheirCallersOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, matched := slow(t)
		b.start(t, item("bolt", "", "b", `1`))
		time.Sleep(2 * time.Second)
		b.put(t, of("smake", ep(12, 2)))
		begin := time.Now()
		b.start(t, item("acme", "", "a", `2`))
		synctest.Wait()
		b.journal.gate <- struct{}{}
		b.journal.gate <- struct{}{}
		synctest.Wait()
		if n := len(b.journal.events); n != 2 || time.Since(begin) != 0 {
			t.Fatalf("%d events after %v", n, time.Since(begin))
		}
		b.journal.gate <- struct{}{} // when it is matched again
		b.Close()
		if diff := cmp.Diff([]hook.EndpointNum{4, 11, 12}, targets(b.journal.events[2])); diff != "" {
			t.Error(diff)
		}
		if n := matched.Load(); n != 2 {
			t.Errorf("matched %d times", n)
		}
	})
}

// A change of somebody else's endpoints costs nobody a second match, and the event tells
// the configuration that it was stored with.
func TestChangesOfOthersCostNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, matched := slow(t)
		b.start(t, item("bolt", "", "b", `1`))
		time.Sleep(2 * time.Second)
		b.put(t, ep(21, 1))
		close(b.journal.gate)
		b.Close()
		if n, e := matched.Load(), b.journal.events[1]; n != 1 || e.Revision != b.dir.Revision() {
			t.Errorf("matched %d times, revision %d", n, e.Revision)
		}
	})
}

// Endpoints that change faster than events can be matched with them are no reason to wait
// for ever.
func TestEndpointsThatChangeAllTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := slow(t)
		failed := make(chan error, 1)
		go func() {
			_, _, err := b.Publish(t.Context(), submission("", item("bolt", "", "b", `1`)))
			failed <- err
		}()
		others := 1
		for ; len(failed) == 0 && others < 100; others++ {
			time.Sleep(2 * time.Second) // it waits behind what is being committed
			b.put(t, of("smake", ep(hook.EndpointNum(11+others), 2)))
			b.start(t, item("acme", "", "a", `1`))
			synctest.Wait()
			b.journal.gate <- struct{}{}
		}
		if err := <-failed; hook.CodeOf(err) != hook.CodeUnavailable {
			t.Error(err)
		}
		close(b.journal.gate)
		synctest.Wait()
		if n := len(b.journal.events); n != others {
			t.Errorf("%d events, want acme's %d", n, others)
		}
		b.Close()
	})
}

// A tenant that is deleted, and another one that takes its id, are not the one that the
// event was matched with.
func TestAnotherTenantOfTheSameID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := slow(t)
		b.config.Tenants = append(b.config.Tenants, &hook.Tenant{ID: "lone", Num: 3})
		b.put(t)
		b.start(t, item("lone", "", "b", `1`))
		synctest.Wait()
		b.config.Tenants = []*hook.Tenant{{ID: "lone", Num: 3, Deleted: true}, {ID: "lone", Num: 4}}
		b.put(t)
		close(b.journal.gate)
		b.Close()
		if e := b.journal.events[1]; e.Tenant != 4 {
			t.Errorf("stored for tenant %d", e.Tenant)
		}
	})
}
