package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/hook"
	"grapnel/internal/inbox"
	"grapnel/internal/keyring"
	"grapnel/internal/pgproxy"
	"grapnel/internal/serve"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres/pgtest"
)

// A batch may name a tenant that was made through another server just before.
func TestBatchForATenantMadeElsewhere(t *testing.T) {
	t.Parallel()
	cfg := serve.Config{Settings: nodeSettings(t, pgtest.Database(t), keyring.NewKey())}
	_, a := start(t, cfg)
	cfg.Settings.Data = t.TempDir()
	_, b := start(t, cfg)
	for i := range 10 {
		name := "t" + strconv.Itoa(i)
		if _, err := a.PutTenant(t.Context(), name, client.TenantInput{}); err != nil {
			t.Fatal(err)
		}
		results, err := b.PublishBatch(t.Context(), []client.Event{
			{Tenant: name, Type: "a.b", Data: json.RawMessage(`1`)},
			{Tenant: "nobody", Type: "a.b", Data: json.RawMessage(`1`)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Status != 202 || results[1].Status != 404 {
			t.Fatalf("%+v", results)
		}
	}
}

// explainPending logs why acme's deliveries wait that do.
func explainPending(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	for d, err := range c.Deliveries(ctx, "acme", client.DeliveryFilter{States: []string{client.Pending}}) {
		if err != nil {
			t.Log(err)
			return
		}
		e, err := c.ExplainEvent(ctx, "acme", d.Event, d.Endpoint)
		if err != nil {
			t.Log(err)
			return
		}
		t.Logf("%s, %d attempts, next %v: %s: %s", d.ID, d.AttemptCount, d.NextAt, e.Situation, e.Sentence)
	}
}

// Several replays are asked for at one of two servers, which then stops: whichever of
// them runs a replay, it does so to the end, and nothing is sent twice by it.
func TestReplaysOfTwoServers(t *testing.T) {
	t.Parallel()
	box, target, addr := receiver(t, inbox.Reply{})
	cfg := serve.Config{Settings: nodeSettings(t, pgtest.Database(t), keyring.NewKey()), Exempt: []netip.AddrPort{addr}}
	cfg.Settings.Lease, cfg.Settings.Renew = config.Duration(3*time.Second), config.Duration(100*time.Millisecond)
	a, stop := run(t, cfg)
	cfg.Settings.Data = t.TempDir()
	_, b := start(t, cfg)
	if _, err := a.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	const endpoints, events = 8, 6 // twice as many are no more than a receiver keeps
	var ids []string
	for range endpoints {
		e, err := a.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	for range events {
		if _, err := b.Publish(t.Context(), "acme", client.Event{Type: "a.b", Data: json.RawMessage(`1`)}); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if t.Failed() {
			explainPending(t, b)
		}
	}()
	count := func(of client.ReplayFilter) int64 {
		p, err := b.PreviewReplay(t.Context(), "acme", of)
		if err != nil {
			t.Fatal(err)
		}
		return p.Count
	}
	await(t, "the deliveries", func() bool { return count(client.ReplayFilter{States: []string{"delivered"}}) == endpoints*events })
	await(t, "both to have their share", func() bool {
		all, _ := nodesOf(t, b)
		return len(all) == 2 && len(all[0].Partitions) == 32 && len(all[1].Partitions) == 32
	})
	var replays []*client.Replay
	for _, id := range ids {
		r, err := a.CreateReplay(t.Context(), "acme", client.ReplayFilter{Endpoint: id, States: []string{"delivered"}})
		if err != nil {
			t.Fatal(err)
		}
		replays = append(replays, r)
	}
	stop()
	await(t, "the replays", func() bool {
		for _, r := range replays {
			now, err := b.Replay(t.Context(), "acme", r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !now.Over() {
				return false
			}
			if now.State != client.ReplayDone || now.Redelivered != events || now.Total == nil || *now.Total != events {
				t.Fatalf("%+v", now)
			}
		}
		return true
	})
	await(t, "what was replayed", func() bool { return len(box.Requests()) >= 2*endpoints*events })
	if got := len(box.Requests()); got != 2*endpoints*events {
		t.Errorf("%d requests, want each of %d twice", got, endpoints*events)
	}
}

// A server with another secret key does not start, also before there is any secret; of
// two first starts with different keys, one gets through.
func TestServersNeedTheSameKey(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	keys := []string{keyring.NewKey(), keyring.NewKey()}
	attempt := func(secret string) error {
		s, err := serve.New(t.Context(), serve.Config{Settings: nodeSettings(t, database, secret), Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err == nil {
			t.Cleanup(func() { s.Stop(context.Background()) })
		}
		return err
	}
	var errs [2]error
	var wg sync.WaitGroup
	for i, k := range keys {
		wg.Go(func() { errs[i] = attempt(k) })
	}
	wg.Wait()
	if errs[0] == nil {
		keys[0], keys[1], errs[0], errs[1] = keys[1], keys[0], errs[1], errs[0]
	}
	if wrong := errs[0]; !errors.Is(wrong, keyring.ErrOtherKey) || strings.Contains(wrong.Error(), keys[0]) || errs[1] != nil {
		t.Fatalf("first starts: %v and %v", errs[0], errs[1])
	}
	for secret, ok := range map[string]bool{keys[0]: false, keys[1]: true, keys[1] + "," + keys[0]: true} {
		if err := attempt(secret); (err == nil) != ok || err != nil && !errors.Is(err, keyring.ErrOtherKey) {
			t.Errorf("a later start: %v, want one: %v", err, ok)
		}
	}
	// A new key goes first, with the old one behind it, and then alone.
	if err := attempt(keys[0] + "," + keys[1]); err != nil {
		t.Fatal(err)
	}
	if err := attempt(keys[1]); !errors.Is(err, keyring.ErrOtherKey) {
		t.Errorf("with the old key alone: %v", err)
	}
	if err := attempt(keys[0]); err != nil {
		t.Error(err)
	}
}

// case 33: what one server was told of an endpoint bites on the one that sends to it,
// also when hints are lost: that its secret is another one, and that it is paused. That
// is to be so within 5 s; the test waits longer, for machines that are busy.
func TestChangesBiteOnTheOtherServer(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run("hints lost "+strconv.FormatBool(lost), func(t *testing.T) {
			t.Parallel()
			box, target, addr := receiver(t, inbox.Reply{})
			database := pgtest.Database(t)
			way, url, err := pgproxy.Before(database)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { way.Close() })
			way.Mute(lost)
			cfg := serve.Config{Settings: nodeSettings(t, database, keyring.NewKey()), Exempt: []netip.AddrPort{addr}}
			cfg.Settings.Lease, cfg.Settings.Renew = config.Duration(3*time.Second), config.Duration(100*time.Millisecond)
			_, a := start(t, cfg)
			cfg.Settings.Store, cfg.Settings.Data = url, t.TempDir()
			sender, b := start(t, cfg)
			var its []int
			await(t, "both to have their share", func() bool {
				all, _ := nodesOf(t, b)
				if len(all) != 2 || len(all[0].Partitions) != 32 || len(all[1].Partitions) != 32 {
					return false
				}
				its = all[1].Partitions
				return all[1].Self
			})
			e, num := endpointIn(t, a, target, its)

			if e, err = a.RotateSecret(t.Context(), "acme", e.ID, client.Rotation{Overlap: client.Set(client.Duration(0))}); err != nil {
				t.Fatal(err)
			}
			answered := time.Now()
			if err := box.SetSecrets([]hook.Secret{hook.Secret(e.Secret)}); err != nil {
				t.Fatal(err)
			}
			sent := 0
			await(t, "a delivery that is signed with the new secret", func() bool {
				if sent <= len(box.Requests()) {
					sent = len(box.Requests()) // a busy machine may have a lease lapse, and a request repeated
					if _, err := a.Publish(t.Context(), "acme", client.Event{Type: "a.b", Data: json.RawMessage(`1`)}); err != nil {
						t.Fatal(err)
					}
					sent++
				}
				await(t, "the delivery", func() bool { return len(box.Requests()) >= sent })
				return slices.ContainsFunc(box.Requests(), func(r *inbox.Request) bool { return r.Verified })
			})
			t.Logf("the new secret: within %s, at most 5s are promised", time.Since(answered))

			if _, err := a.UpdateEndpoint(t.Context(), "acme", e.ID, client.EndpointInput{State: client.Set(client.Paused)}); err != nil {
				t.Fatal(err)
			}
			answered = time.Now()
			await(t, "the pause", func() bool {
				known, ok := sender.Endpoint(num)
				return ok && known.ID == e.ID && known.State == hook.EndpointPaused
			})
			t.Logf("the pause: within %s, at most 5s are promised", time.Since(answered))
		})
	}
}

// endpointIn makes a tenant's only endpoint, in one of some partitions, in a database in
// which there is none yet.
func endpointIn(t *testing.T, c *client.Client, target string, partitions []int) (*client.Endpoint, hook.EndpointNum) {
	t.Helper()
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	for num := hook.EndpointNum(1); ; num++ { // as they are given
		e, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target)})
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(partitions, store.PartitionOf(num)) {
			return e, num
		}
		if _, err := c.DeleteEndpoint(t.Context(), "acme", e.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// Bodies are made with the texts that were pinned when an event was matched, also by a
// server that began before they were.
func TestPinsOfAnotherServer(t *testing.T) {
	t.Parallel()
	taker := newTaker(t)
	cfg := serve.Config{Settings: nodeSettings(t, pgtest.Database(t), keyring.NewKey()), Exempt: []netip.AddrPort{taker.addr}}
	cfg.Settings.Lease, cfg.Settings.Renew = config.Duration(3*time.Second), config.Duration(100*time.Millisecond)
	putDialect(t, cfg.Settings.Data, "own.yaml", own("old"))
	_, a := start(t, cfg)
	if _, err := a.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	for range 4 { // some for each server
		if _, err := a.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(taker.url), Dialect: client.Set("own")}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := a.Publish(t.Context(), "acme", client.Event{Type: "item.changed", Data: json.RawMessage(`{"id":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the first event", func() bool { return len(taker.of(first.ID)) == 4 })

	cfg.Settings.Data, cfg.Settings.PublicURL = t.TempDir(), "https://new.example"
	putDialect(t, cfg.Settings.Data, "own.yaml", own("new"))
	_, b := start(t, cfg)
	for i, c := range []*client.Client{b, a, b, a} {
		r, err := c.Publish(t.Context(), "acme", client.Event{Type: "item.changed", Data: json.RawMessage(`{"id":1}`)})
		if err != nil {
			t.Fatal(err)
		}
		await(t, "an event", func() bool { return len(taker.of(r.ID)) == 4 })
		for _, got := range taker.of(r.ID) {
			if !strings.Contains(got.Body, `"text":"new"`) || !strings.Contains(got.Body, "https://new.example/") {
				t.Errorf("event %d: %s", i, got.Body)
			}
		}
	}
}

// An event is cancelled through either of two servers, though each of them sends to some
// of its endpoints alone.
func TestCancelThroughEitherServer(t *testing.T) {
	t.Parallel()
	_, target, addr := receiver(t, inbox.Reply{Status: 500})
	cfg := serve.Config{Settings: nodeSettings(t, pgtest.Database(t), keyring.NewKey()), Exempt: []netip.AddrPort{addr}}
	_, a := start(t, cfg)
	cfg.Settings.Data = t.TempDir()
	_, b := start(t, cfg)
	if _, err := a.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	const endpoints = 8
	for range endpoints {
		if _, err := a.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target)}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "both to have their share", func() bool {
		all, _ := nodesOf(t, b)
		return len(all) == 2 && len(all[0].Partitions) == 32 && len(all[1].Partitions) == 32
	})
	for _, through := range []*client.Client{a, b} {
		e, err := b.Publish(t.Context(), "acme", client.Event{Type: "a.b", Data: json.RawMessage(`1`)})
		if err != nil {
			t.Fatal(err)
		}
		in := func(state string) (n int) {
			got, err := through.Event(t.Context(), "acme", e.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range got.Deliveries {
				if d.State == state && (d.AttemptCount > 0 || state != "pending") {
					n++
				}
			}
			return n
		}
		await(t, "the first attempts", func() bool { return in("pending") == endpoints })
		got, err := through.CancelEvent(t.Context(), "acme", e.ID)
		if err != nil || got.Cancelled+got.Running != endpoints {
			t.Fatalf("%+v, %v", got, err)
		}
		await(t, "the end of all", func() bool { return in("cancelled") == endpoints })
	}
}
