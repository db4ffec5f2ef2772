package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/client"
	"grapnel/internal/child"
	"grapnel/internal/pgproxy"
	"grapnel/internal/store/postgres/pgtest"
)

// base is a server's database that may go away, with a receiver of what is published.
type base struct {
	cluster  *pgtest.Cluster
	proxy    *pgproxy.Proxy
	store    string // through the proxy
	receiver *taker
	url      string // of the receiver
	caller   http.Client
}

func newBase(t *testing.T, o pgtest.Options, query string) *base {
	t.Helper()
	b := &base{cluster: pgtest.Start(t, o), receiver: &taker{ids: map[string]map[string]bool{}}}
	var err error
	if b.proxy, b.store, err = pgproxy.Before(b.cluster.Database(t)); err != nil {
		t.Fatal(err)
	}
	b.store += query
	t.Cleanup(func() { _ = b.proxy.Close() })
	listener := httptest.NewServer(b.receiver)
	t.Cleanup(listener.Close)
	b.url = listener.URL
	t.Cleanup(b.caller.CloseIdleConnections)
	return b
}

// serve starts a server on the database.
func (b *base) serve(t *testing.T) *server {
	t.Helper()
	addr, err := child.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: addr, store: b.store}
	s.start(t)
	t.Cleanup(func() { s.Kill() })
	return s
}

// setUp makes a tenant with an endpoint.
func (b *base) setUp(t *testing.T, s *server) *client.Client {
	t.Helper()
	api, err := client.New(client.Config{URL: "http://" + s.addr, Key: adminKey})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(b.url)}); err != nil {
		t.Fatal(err)
	}
	return api
}

// publish publishes one event and says how that was answered, and after which time.
func (b *base) publish(ctx context.Context, s *server, apiKey, key string) (status int, later string, took time.Duration, err error) {
	text := fmt.Sprintf(`{"id":%q,"type":"a.b","data":{"key":%q}}`, key, key)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/v1/tenants/acme/events", strings.NewReader(text))
	if err != nil {
		return 0, "", 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+apiKey)
	begun := time.Now()
	resp, err := b.caller.Do(req)
	if err != nil {
		return 0, "", time.Since(begun), err
	}
	_ = resp.Body.Close() // only the head matters
	return resp.StatusCode, resp.Header.Get("Retry-After"), time.Since(begun), nil
}

// answers is how publishes were answered that several callers made at once.
type answers struct {
	mu       sync.Mutex
	accepted map[string]bool
	refused  int
	slowest  time.Duration
}

// callers publish until ctx ends. Whatever is not accepted has to be told when to come
// again.
func (b *base) callers(ctx context.Context, t *testing.T, s *server, name string) *answers {
	t.Helper()
	a := &answers{accepted: map[string]bool{}}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("%s-%d-%d", name, i, n)
				status, later, took, err := b.publish(context.WithoutCancel(ctx), s, adminKey, key)
				a.mu.Lock()
				a.slowest = max(a.slowest, took)
				switch {
				case err == nil && status == http.StatusAccepted:
					a.accepted[key] = true
				case err == nil && status == http.StatusServiceUnavailable && later != "":
					a.refused++
				default:
					t.Errorf("%s: a publish was answered with %d, Retry-After %q, %v", name, status, later, err)
				}
				a.mu.Unlock()
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	all.Wait()
	return a
}

// eventually waits for a publish to be accepted.
func (b *base) eventually(t *testing.T, s *server, name string) (key string, took time.Duration) {
	t.Helper()
	begun := time.Now()
	for n := 0; ; n++ {
		key := fmt.Sprintf("%s-after-%d", name, n)
		status, _, _, err := b.publish(t.Context(), s, adminKey, key)
		if status == http.StatusAccepted {
			return key, time.Since(begun)
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("%s: publishes are not taken again: %d, %v", name, status, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// arrive waits until everything has come that was accepted.
func (b *base) arrive(t *testing.T, name string, want map[string]bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); b.receiver.lack(want) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %d of %d accepted events have not come", name, b.receiver.lack(want), len(want))
		}
	}
}

// alive reports whether a server answers soon that it lives.
func (b *base) alive(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/livez", nil)
	if err != nil {
		return err
	}
	resp, err := b.caller.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// name is the database's.
func (b *base) name() string {
	u, err := url.Parse(b.store)
	if err != nil {
		panic(err) // newBase made it
	}
	return strings.TrimPrefix(u.Path, "/")
}

// locked has the database take no writes, as after a wraparound or of a standby.
func (b *base) locked() error {
	err := b.cluster.Exec(context.Background(), "postgres", `ALTER DATABASE `+b.name()+` SET default_transaction_read_only = on`)
	b.proxy.Drop()
	return err
}

// full has the database say what it says of a full disk where events are stored.
func (b *base) full() error {
	return b.cluster.Exec(context.Background(), b.name(),
		`CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device'; END $$`,
		`CREATE TRIGGER full_disk BEFORE INSERT ON grapnel.events FOR EACH ROW EXECUTE FUNCTION full_disk()`)
}

// case 22, case 25, case 26, case 35, case 36: while the database is stopped, silent, slow, full or read-only, publishes are
// answered within a bound, and whoever is not accepted is told to come again; when it is
// back, all goes on by itself, and what was accepted is delivered.
func TestPublishesWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	const (
		away  = 4 * time.Second
		bound = 15 * time.Second // the server's own is 10 s
		back  = 10 * time.Second
	)
	for name, c := range map[string]struct {
		begin, end func(b *base) error
		some       bool // publishes may be accepted meanwhile
	}{
		"stopped": {func(b *base) error { return b.cluster.Stop("fast") }, func(b *base) error { return b.cluster.Resume() }, false},
		"silent":  {held(pgproxy.Both), (*base).released, false},
		"unheard": {held(pgproxy.ToClient), (*base).dropped, false},
		"read-only": {(*base).locked, func(b *base) error {
			return b.cluster.Exec(context.Background(), "postgres", `ALTER DATABASE `+b.name()+` RESET default_transaction_read_only`)
		}, false},
		"full": {(*base).full, func(b *base) error {
			return b.cluster.Exec(context.Background(), b.name(), `DROP FUNCTION full_disk CASCADE`)
		}, false},
		"slow": {func(b *base) error { b.proxy.Delay(time.Second); return nil }, func(b *base) error { b.proxy.Delay(0); return nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t, pgtest.Options{}, "")
			s := b.serve(t)
			b.setUp(t, s)
			b.eventually(t, s, name+"-before")
			if err := c.begin(b); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), away)
			defer cancel()
			a := b.callers(ctx, t, s, name)
			if err := b.alive(t.Context(), s); err != nil {
				t.Errorf("the server does not say that it lives: %v", err)
			}
			if err := c.end(b); err != nil {
				t.Fatal(err)
			}
			key, took := b.eventually(t, s, name)
			a.accepted[key] = true
			b.arrive(t, name, a.accepted)
			t.Logf("%d accepted, %d refused, slowest answer %s; taken again after %s", len(a.accepted)-1, a.refused, a.slowest.Round(time.Millisecond), took.Round(time.Millisecond))
			if a.slowest > bound || took > back {
				t.Errorf("the slowest answer took %s, and publishes were taken again after %s", a.slowest, took)
			}
			if !c.some && a.refused == 0 {
				t.Error("nothing was refused")
			}
		})
	}
}

// held has nothing pass in a direction.
func held(d pgproxy.Direction) func(*base) error {
	return func(b *base) error { b.proxy.Hold(d); return nil }
}

// released lets everything pass that was held.
func (b *base) released() error { b.proxy.Release(); return nil }

// dropped cuts the connections on which something was held.
func (b *base) dropped() error {
	b.proxy.Drop()
	b.proxy.Release()
	return nil
}

// case 36: while others have all of the database's connections, publishes are refused
// with a time to come again, a server that starts says why it cannot, and when there are
// some again, all goes on by itself.
func TestNoConnectionsLeft(t *testing.T) {
	t.Parallel()
	b := newBase(t, pgtest.Options{Settings: []string{"max_connections=20", "superuser_reserved_connections=0", "max_wal_senders=0"}}, "&pool_max_conns=4")
	s := b.serve(t)
	b.setUp(t, s)
	before, _ := b.eventually(t, s, "before")
	b.arrive(t, "before", map[string]bool{before: true})

	var taken []*pgx.Conn
	release := func() {
		for _, c := range taken {
			_ = c.Close(context.WithoutCancel(t.Context())) // it has nothing to do
		}
		taken = nil
	}
	defer release()
	take := func() {
		for {
			c, err := pgx.Connect(t.Context(), b.cluster.URL("postgres"))
			if err != nil {
				return
			}
			taken = append(taken, c)
		}
	}
	take()
	b.proxy.Drop()
	refused := 0
	for end := time.Now().Add(20 * time.Second); refused < 3; {
		take() // what the server lets go of
		status, later, _, err := b.publish(t.Context(), s, adminKey, fmt.Sprintf("meanwhile-%d", refused))
		if err == nil && status == http.StatusServiceUnavailable && later != "" {
			refused++
		} else {
			b.proxy.Drop()
		}
		if time.Now().After(end) {
			t.Fatalf("a publish was answered with %d, Retry-After %q, %v", status, later, err)
		}
	}
	var said bytes.Buffer
	p, err := child.Start(child.Config{Command: grapnel(program(t, false)), Stderr: &said, Stdout: &said, Env: []string{
		"GRAPNEL_ADMIN_KEY=" + adminKey, "GRAPNEL_SECRET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "GRAPNEL_STORE=" + b.store, "GRAPNEL_LISTEN=127.0.0.1:0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	select {
	case <-p.Done():
		if !strings.Contains(said.String(), "too many clients") {
			t.Errorf("a server that cannot start says %s", &said)
		}
	case <-time.After(time.Minute):
		t.Error("a server starts without a connection to be had")
	}
	release()
	key, took := b.eventually(t, s, "after")
	b.arrive(t, "after", map[string]bool{key: true})
	t.Logf("taken again after %s", took.Round(time.Millisecond))
}

// case 33: without notifications everything works, and what is configured through one
// server bites on another one within 5 s.
func TestNotificationsLost(t *testing.T) {
	t.Parallel()
	const soon = 5 * time.Second
	b := newBase(t, pgtest.Options{}, "")
	b.proxy.Mute(true)
	one, two := b.serve(t), b.serve(t)
	api := b.setUp(t, one)
	want := map[string]bool{}
	for n := range 20 {
		s := []*server{one, two}[n%2]
		key := fmt.Sprintf("event-%d", n)
		status, _, _, err := b.publish(t.Context(), s, adminKey, key)
		if status != http.StatusAccepted {
			t.Fatalf("a publish was answered with %d, %v", status, err)
		}
		want[key] = true
	}
	begun := time.Now()
	b.arrive(t, "all", want)
	t.Logf("all have come after %s", time.Since(begun).Round(time.Millisecond))

	key, err := api.CreateKey(t.Context(), client.KeyInput{Scopes: []string{"publish"}})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _, err := b.publish(t.Context(), two, key.Key, "with-a-key"); status != http.StatusAccepted {
		t.Fatalf("a publish with a new key was answered with %d, %v", status, err)
	}
	_, err = api.RevokeKey(t.Context(), key.ID)
	begun = time.Now()
	for n := 0; err == nil; n++ {
		var status int
		status, _, _, err = b.publish(t.Context(), two, key.Key, fmt.Sprintf("revoked-%d", n))
		if status == http.StatusUnauthorized {
			break
		}
		if time.Since(begun) > soon {
			err = errors.New("a revoked key is taken for too long")
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a key was refused %s after it was revoked elsewhere", time.Since(begun).Round(time.Millisecond))
}
