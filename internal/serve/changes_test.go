package serve_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
	"grapnel/internal/store"
	"grapnel/internal/store/eithertest"
	"grapnel/internal/testaid"
	"grapnel/verify"
)

// ender is a contract that cancels what an inactive endpoint would get.
const ender = `
name: ender
title: Ends
request: {timeout: 10s, headers: {Content-Type: application/json, User-Agent: Test}, body: {json: "{event.data}"}}
subscription: any
secret: {owner: tenant, made: always, forms: [text]}
sign:
  - {header: X-Signature, over: "{body}", with: [{key: text, algorithm: hmac-sha256, encoding: hex, text: "{signature}"}]}
success: [2xx]
retry: {on: any, waits: [24h]}
on_inactive: cancel
`

// arrival is a request that waits for its answer.
type arrival struct {
	path, body string
	header     http.Header
	answer     chan int
}

// asked is a receiver whose answers the test gives.
type asked struct {
	t    *testing.T
	url  string
	addr netip.AddrPort
	come chan arrival
}

func newAsked(t *testing.T) *asked {
	t.Helper()
	a := &asked{t: t, come: make(chan arrival, 100)}
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		one := arrival{r.URL.Path, string(body), r.Header.Clone(), make(chan int, 1)}
		a.come <- one
		select {
		case status := <-one.answer:
			w.WriteHeader(status)
		case <-over:
		}
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(over) })
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	a.url, a.addr = srv.URL, netip.MustParseAddrPort(u.Host)
	return a
}

// next is the next request.
func (a *asked) next() arrival {
	a.t.Helper()
	select {
	case one := <-a.come:
		return one
	case <-time.After(30 * time.Second):
		a.t.Fatal("no request came")
		panic("unreachable")
	}
}

// during is a server with a delivery on its way to an endpoint that takes one at a time,
// and another that waits behind it.
type during struct {
	*client.Client
	t        *testing.T
	s        *serve.Server
	dir      string
	to       *asked
	endpoint string
	secret   string
	first    arrival
	events   []string
}

func newDuring(t *testing.T, dialect string) *during {
	t.Helper()
	d := &during{t: t, dir: t.TempDir(), to: newAsked(t)}
	cfg := settings(t, d.dir)
	if err := os.MkdirAll(filepath.Join(d.dir, "dialects"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "dialects", "ender.yaml"), []byte(ender), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	d.s, err = serve.New(t.Context(), serve.Config{Settings: cfg, Exempt: []netip.AddrPort{d.to.addr}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Client = dial(t, d.s, string(d.s.AdminKey()))
	if _, err := d.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	in := client.EndpointInput{URL: client.Set(d.to.url + "/old"), MaxInFlight: client.Set(1), Dialect: client.Set(dialect)}
	if dialect == "standard" {
		in.Schedule = client.Set([]client.Duration{client.Duration(24 * time.Hour)})
	}
	e, err := d.CreateEndpoint(t.Context(), "acme", in)
	if err != nil {
		t.Fatal(err)
	}
	d.endpoint, d.secret = e.ID, e.Secret
	for _, data := range []string{"1", "2"} {
		r, err := d.Publish(t.Context(), "acme", client.Event{Type: "a", Data: json.RawMessage(data)})
		if err != nil {
			t.Fatal(err)
		}
		d.events = append(d.events, r.ID)
		if data == "1" {
			d.first = d.to.next()
		}
	}
	return d
}

// change changes the endpoint.
func (d *during) change(in client.EndpointInput) {
	d.t.Helper()
	if _, err := d.UpdateEndpoint(d.t.Context(), "acme", d.endpoint, in); err != nil {
		d.t.Fatal(err)
	}
}

// settle waits until the two are as they should be in the end, or what waits is nothing
// where their tenant is not there to be asked about any more.
func (d *during) settle(want []string) {
	d.t.Helper()
	await(d.t, "the end of both", func() bool {
		var is []string
		for _, id := range d.events {
			e, err := d.Event(d.t.Context(), "acme", id)
			if client.CodeOf(err) == client.CodeNotFound {
				_, metrics := testaid.Get(d.t, d.s.URL()+"/metrics")
				return strings.Contains(metrics, "grapnel_queue_pending 0\n")
			}
			if err != nil || len(e.Deliveries) != 1 {
				d.t.Fatalf("%+v, %v", e, err)
			}
			is = append(is, e.Deliveries[0].State)
		}
		for i := range want {
			if state, _, _ := strings.Cut(want[i], ":"); state != is[i] {
				return false
			}
		}
		return true
	})
}

// end stops the server and tells what has become of the two deliveries, as "delivered" or
// "cancelled: why".
func (d *during) end() []string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := d.s.Stop(ctx); err != nil {
		d.t.Fatal(err)
	}
	st := eithertest.At(d.t, d.dir, eithertest.Options{})
	defer st.Close()
	out := make([]string, len(d.events))
	for i, id := range d.events {
		event, err := hook.ParseEventID(id)
		if err != nil {
			d.t.Fatal(err)
		}
		page, err := st.Deliveries(d.t.Context(), store.DeliveryQuery{Tenant: hook.AllTenants, Event: event, Limit: 10})
		if err != nil || len(page.Deliveries) != 1 {
			d.t.Fatalf("%+v, %v", page, err)
		}
		dl := page.Deliveries[0]
		out[i] = dl.State.String()
		if dl.Reason != "" {
			out[i] += ": " + dl.Reason
		}
	}
	return out
}

// case 79: what is changed while a request runs lets the request finish, and counts from
// the next attempt on: deleting cancels with a reason, pausing does what the contract
// says, another URL gets what is not under way.
func TestChangesDuringDeliveries(t *testing.T) {
	t.Parallel()
	remove := func(d *during) error { _, err := d.DeleteEndpoint(d.t.Context(), "acme", d.endpoint); return err }
	pause := func(d *during) error { d.change(client.EndpointInput{State: client.Set(client.Paused)}); return nil }
	for name, x := range map[string]struct {
		dialect string
		change  func(d *during) error
		answer  int
		then    func(d *during) // what follows until all is over
		want    []string
	}{
		"deleted":                            {"standard", remove, 200, nil, []string{"delivered", "cancelled: endpoint deleted"}},
		"deleted, and fails":                 {"standard", remove, 500, nil, []string{"cancelled: endpoint deleted", "cancelled: endpoint deleted"}},
		"tenant deleted":                     {"standard", func(d *during) error { _, err := d.DeleteTenant(d.t.Context(), "acme"); return err }, 200, nil, []string{"delivered", "cancelled: endpoint deleted"}},
		"paused under a cancelling contract": {"ender", pause, 200, nil, []string{"delivered", "cancelled: endpoint paused"}},
		"paused under one, and fails":        {"ender", pause, 500, nil, []string{"cancelled: endpoint paused", "cancelled: endpoint paused"}},
		"paused":                             {"standard", pause, 200, nil, []string{"delivered", "held"}},
		"paused and resumed": {"standard", pause, 200, func(d *during) {
			d.change(client.EndpointInput{State: client.Set(client.Active)})
			d.to.next().answer <- 200
		}, []string{"delivered", "delivered"}},
		"another URL": {"standard", func(d *during) error {
			d.change(client.EndpointInput{URL: client.Set(d.to.url + "/new")})
			return nil
		}, 200, func(d *during) {
			next := d.to.next()
			if next.path != "/new" {
				d.t.Errorf("the next request goes to %s", next.path)
			}
			next.answer <- 200
		}, []string{"delivered", "delivered"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDuring(t, x.dialect)
			if d.first.path != "/old" {
				t.Errorf("the first request goes to %s", d.first.path)
			}
			if err := x.change(d); err != nil {
				t.Fatal(err)
			}
			d.first.answer <- x.answer
			if x.then != nil {
				x.then(d)
			}
			d.settle(x.want)
			stored := strings.ReplaceAll(strings.Join(x.want, ", "), client.Held, client.Pending) // which it is by its endpoint's state
			if got := strings.Join(d.end(), ", "); got != stored {
				t.Errorf("they are %s, want %s", got, stored)
			}
			if n := len(d.to.come); n > 0 {
				t.Errorf("%d more requests came", n)
			}
		})
	}
}

// signers are which of some secrets have signed a request.
func signers(t *testing.T, one arrival, secrets ...string) (out []int) {
	t.Helper()
	for i, secret := range secrets {
		v, err := verify.New(secret)
		if err != nil {
			t.Fatal(err)
		}
		if v.Verify(one.header, []byte(one.body), time.Now()) == nil {
			out = append(out, i)
		}
	}
	if n := len(strings.Fields(one.header.Get("Webhook-Signature"))); n != len(out) {
		t.Errorf("%d signatures, and %v of the secrets have signed", n, out)
	}
	return out
}

// case 79: a secret that is replaced between the attempts of a delivery signs beside the new
// one for as long as it was given, and not after that. A request that is under way is
// signed as it was.
func TestRotationDuringRetries(t *testing.T) {
	t.Parallel()
	to := newAsked(t)
	_, c := start(t, serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{to.addr}})
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	e, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(to.url), Schedule: client.Set([]client.Duration{})})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Publish(t.Context(), "acme", client.Event{Type: "a", Data: json.RawMessage("1")})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{e.Secret}
	rotate := func(overlap time.Duration) {
		t.Helper()
		rotated, err := c.RotateSecret(t.Context(), "acme", e.ID, client.Rotation{Overlap: client.Set(client.Duration(overlap))})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, rotated.Secret)
	}
	again := func(one arrival) arrival {
		t.Helper()
		one.answer <- 500
		var delivery string
		await(t, "the attempt to be recorded", func() bool {
			ev, err := c.Event(t.Context(), "acme", r.ID)
			if err != nil {
				t.Fatal(err)
			}
			delivery = ev.Deliveries[0].ID
			return ev.Deliveries[0].State == client.Failed
		})
		if _, err := c.Redeliver(t.Context(), "acme", delivery); err != nil {
			t.Fatal(err)
		}
		return to.next()
	}
	one := to.next()
	rotate(time.Hour)
	if got := signers(t, one, secrets...); !slices.Equal(got, []int{0}) {
		t.Errorf("the request under way is signed by %v", got)
	}
	if one = again(one); !slices.Equal(signers(t, one, secrets...), []int{0, 1}) {
		t.Errorf("while both count, %v have signed", signers(t, one, secrets...))
	}
	rotate(0)
	if one = again(one); !slices.Equal(signers(t, one, secrets...), []int{2}) {
		t.Errorf("after a rotation at once %v have signed", signers(t, one, secrets...))
	}
	rotate(time.Second)
	await(t, "the second to be over", func() bool {
		one = again(one)
		got := signers(t, one, secrets...)
		if !slices.Contains(got, 3) || slices.Contains(got, 1) {
			t.Errorf("%v have signed", got)
		}
		return !slices.Contains(got, 2)
	})
	one.answer <- 200
}
