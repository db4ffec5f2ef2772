package ingest_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

var eventTypes = []string{"a.b", "a.b.c", "a", "a.", "client_deleted", "client_updated", "grapnel.endpoint.disabled", "other"}

// Whom an event goes to is the same however many endpoints a tenant has.
func TestRoutesAgainstPatterns(t *testing.T) {
	t.Parallel()
	b, outer := setup(t), t
	m := ingest.NewMatcher(b.dir, policyOf)
	rapid.Check(t, func(t *rapid.T) {
		var list []*hook.Endpoint
		for i := range rapid.IntRange(1, 80).Draw(t, "endpoints") {
			patterns := rapid.SliceOfN(rapid.SampledFrom([]string{"a.*", "a.b.*", "a.b", "a", "*", "a*", "client_updated", "client_deleted", "grapnel.*", "grapnel.endpoint.disabled"}), 0, 3).Draw(t, "patterns")
			e := of(rapid.SampledFrom([]string{"standard", "propstack"}).Draw(t, "dialect"), ep(hook.EndpointNum(100+i), 2, patterns...))
			if rapid.IntRange(0, 5).Draw(t, "paused") == 0 {
				e.State = hook.EndpointPaused
			}
			list = append(list, e)
		}
		all := slices.Clone(list)
		for i := len(list); i < 80; i++ { // those of the last time
			e := ep(hook.EndpointNum(100+i), 2)
			e.Deleted = true
			all = append(all, e)
		}
		b.put(outer, all...)
		for range 2 {
			for _, eventType := range eventTypes {
				var want []hook.Target
				if !hook.Operational(eventType) {
					want = append(want, hook.Target{Endpoint: 4})
				}
				for _, e := range list {
					p, name := policyOf(e.Dialect), eventType
					if p.EventName != nil && !hook.Operational(eventType) {
						name = p.EventName(eventType)
					}
					if !hook.MatchesType(e.EventTypes, name) {
						continue
					}
					target := hook.Target{Endpoint: e.Num}
					if !e.Active() && p.CancelInactive {
						target.Disposition = hook.Inactive
					}
					want = append(want, target)
				}
				got, err := m.Match("bolt", &hook.Event{Type: eventType}, false)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s: %s", eventType, diff)
				}
			}
		}
	})
}

// Matching goes on beside changes, from many goroutines, while routes and
// conditions come and go.
func TestMatchBesideChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := func(filter int) (out []*hook.Endpoint) {
		for i := range 60 {
			e := ep(hook.EndpointNum(100+i), 2, "a.b")
			e.Filter = fmt.Appendf(nil, `{"field":"data.n","operator":"eq","value":%d}`, filter+i%2)
			out = append(out, e)
		}
		return out
	}
	b.put(t, list(0)...)
	m := ingest.NewMatcher(b.dir, policyOf)
	var matchers sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		matchers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				before := b.dir.Revision()
				got, err := m.Match("bolt", &hook.Event{Type: "a.b", Data: []byte(`{"n":7}`)}, false)
				if err != nil || !slices.ContainsFunc(got, func(t hook.Target) bool { return t.Endpoint == 4 }) {
					t.Errorf("%v, %v", got, err)
					return
				}
				filter := int(before-2) % 10 // as put numbers them
				want := 1
				if filter == 7 || filter == 6 {
					want = 31
				}
				if b.dir.Revision() == before && len(got) != want {
					t.Errorf("revision %d: %d targets, want %d", before, len(got), want)
					return
				}
			}
		})
	}
	for i := 1; i < 50; i++ {
		b.put(t, list(i%10)...)
	}
	close(done)
	matchers.Wait()
}
