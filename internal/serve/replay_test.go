package serve_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/inbox"
	"grapnel/internal/serve"
	"grapnel/internal/store/eithertest"
)

// A receiver was away: what failed meanwhile is replayed when it is back, and
// comes with its first ids and no more than once.
func TestReplayAfterAnOutage(t *testing.T) {
	t.Parallel()
	away, awayURL, awayAddr := receiver(t, inbox.Reply{Status: 500})
	back, backURL, backAddr := receiver(t, inbox.Reply{})
	_, c := start(t, serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{awayAddr, backAddr}})
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	e, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(awayURL), Schedule: client.Set([]client.Duration{})})
	if err != nil {
		t.Fatal(err)
	}
	const n = 25
	ids := map[string]int{}
	for range n {
		r, err := c.Publish(t.Context(), "acme", client.Event{Type: "a.b", Data: json.RawMessage(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
		ids[r.ID] = 0
	}
	filter := client.ReplayFilter{Endpoint: e.ID}
	await(t, "all to fail", func() bool {
		p, err := c.PreviewReplay(t.Context(), "acme", filter)
		if err != nil {
			t.Fatal(err)
		}
		return p.Count == n
	})
	if got := len(away.Requests()); got != n { // no retries were asked for
		t.Errorf("%d requests, want %d", got, n)
	}
	if _, err := c.UpdateEndpoint(t.Context(), "acme", e.ID, client.EndpointInput{URL: client.Set(backURL)}); err != nil {
		t.Fatal(err)
	}
	r, err := c.CreateReplay(t.Context(), "acme", filter)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the replay", func() bool {
		if r, err = c.Replay(t.Context(), "acme", r.ID); err != nil {
			t.Fatal(err)
		}
		return r.Over() && len(back.Requests()) >= n
	})
	if r.State != client.ReplayDone || r.Redelivered != n || r.Skipped+r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	for _, req := range back.Requests() {
		ids[req.ID]++
	}
	for id, times := range ids {
		if times != 1 {
			t.Errorf("event %s came %d times", id, times)
		}
	}
}

// Whatever window an operator may set, an id that comes twice is a duplicate.
func TestAnIDTwiceInTheShortestWindow(t *testing.T) {
	t.Parallel()
	for _, window := range []time.Duration{0, time.Millisecond, time.Second, time.Minute} {
		cfg := serve.Config{Settings: settings(t, t.TempDir())}
		cfg.Settings.IdempotencyWindow = config.Duration(window)
		if cfg.Settings.Validate(nil) != nil {
			continue
		}
		_, c := start(t, cfg)
		if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
			t.Fatal(err)
		}
		event := client.Event{ID: "one", Type: "a.b", Data: json.RawMessage(`{}`)}
		first, err := c.Publish(t.Context(), "acme", event)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Publish(t.Context(), "acme", event)
		if err != nil || again.ID != first.ID || !again.Duplicate {
			t.Errorf("within %s: %+v, then %+v, %v", window, first, again, err)
		}
		return
	}
	t.Error("no window is allowed")
}

// What waits for a paused endpoint is cancelled and does not come when it goes
// on.
func TestCancelEvent(t *testing.T) {
	t.Parallel()
	box, target, addr := receiver(t, inbox.Reply{})
	_, c := start(t, serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{addr}})
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	e, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target), State: client.Set("paused")})
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	for range 2 {
		r, err := c.Publish(t.Context(), "acme", client.Event{Type: "a", Data: json.RawMessage(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, r.ID)
	}
	if r, err := c.CancelEvent(t.Context(), "acme", events[0]); err != nil || r.Cancelled != 1 || r.Running != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := c.UpdateEndpoint(t.Context(), "acme", e.ID, client.EndpointInput{State: client.Set("active")}); err != nil {
		t.Fatal(err)
	}
	await(t, "the other event", func() bool { return len(box.Requests()) > 0 })
	if got := box.Requests(); len(got) != 1 || got[0].ID != events[1] {
		t.Errorf("%+v", got)
	}
}

// How a key was last used is in the store when the server has ended.
func TestLastUseIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begun := time.Now().Truncate(time.Second)
	s, err := serve.New(t.Context(), serve.Config{Settings: settings(t, dir), Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = dial(t, s, string(s.AdminKey())).PutTenant(t.Context(), "acme", client.TenantInput{})
	if err := errors.Join(err, s.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	st := eithertest.At(t, dir, eithertest.Options{})
	defer st.Close()
	c, err := st.Configuration(t.Context(), 0)
	if err != nil || len(c.Keys) != 1 || c.Keys[0].LastUsedAt.Before(begun) {
		t.Errorf("%+v, %v", c, err)
	}
}
