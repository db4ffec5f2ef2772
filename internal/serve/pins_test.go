package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/serve"
	"grapnel/internal/store"
)

// own is an operator's dialect in one of its texts, which stands in the body and
// in a header.
func own(text string) string {
	return `
name: own
title: Our own
request:
  timeout: 10s
  headers: {Content-Type: application/json, User-Agent: Own, X-Text: "` + text + `", X-Event: "{event.id}"}
  body:
    json: {text: "` + text + `", link: "{public_url}/e/{endpoint.number}", delivery: "{delivery.number}", data: "{event.data}"}
    project: true
events: {item.gone: item.changed}
subscription: any
secret: {made: never}
success: [2xx]
retry: {on: any, waits: [1h]}
on_inactive: hold
`
}

// putDialect writes a dialect file into a data folder.
func putDialect(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, serve.DialectFolder, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// taken is a request as a receiver took it.
type taken struct{ Event, Text, Body string }

// taker is a receiver that answers with a status and keeps what came.
type taker struct {
	url    string
	addr   netip.AddrPort
	mu     sync.Mutex
	status int
	got    []taken
}

func newTaker(t *testing.T) *taker {
	t.Helper()
	k := &taker{status: http.StatusOK}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.got = append(k.got, taken{r.Header.Get("X-Event"), r.Header.Get("X-Text"), string(body)})
		w.WriteHeader(k.status)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	k.url, k.addr = s.URL, netip.MustParseAddrPort(u.Host)
	return k
}

// of are the requests for an event so far.
func (k *taker) of(event string) []taken {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []taken
	for _, r := range k.got {
		if r.Event == event {
			out = append(out, r)
		}
	}
	return out
}

func (k *taker) answers(status int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status = status
}

// run starts a server on a folder and gives what stops it.
func run(t *testing.T, cfg serve.Config) (*client.Client, func()) {
	t.Helper()
	cfg.Logger, cfg.Now = slog.New(slog.DiscardHandler), time.Now
	var s *serve.Server
	await(t, "the folder", func() bool { // a child of another test, just forked, may still have the lock
		var err error
		if s, err = serve.New(t.Context(), cfg); err != nil && !errors.Is(err, store.ErrLocked) {
			t.Fatal(err)
		}
		return err == nil
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dial(t, s, cfg.Settings.AdminKey), func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// SM-V1 and design, life 2: what an event looks like is decided when it is
// matched. Its first attempt, its retries, its redeliveries and its replay keep
// that when the tenant's version, the converters, the endpoint's fields, the
// public URL and the dialect's file have changed, also over restarts. What is no
// body is as it is now.
func TestBodiesKeepTheirShape(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newTaker(t)
	cfg := serve.Config{Settings: settings(t, dir), Exempt: []netip.AddrPort{k.addr}}
	cfg.Settings.AdminKey, cfg.Settings.PublicURL = "gk_admin_0123456789012345678901", "https://old.example"
	putDialect(t, dir, "own.yaml", own("first"))
	c, stop := run(t, cfg)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	publish := func() string {
		t.Helper()
		r, err := c.Publish(t.Context(), "acme", client.Event{Type: "item.changed", Data: json.RawMessage(`{"a": {"new":1.10}, "b":2}`)})
		must(r, err)
		return r.ID
	}
	must(c.PutTenant(t.Context(), "acme", client.TenantInput{APIVersion: client.Set("1")}))
	versions := func(program string) {
		t.Helper()
		must(c.PutEventType(t.Context(), "item.changed", client.EventTypeInput{Versions: client.Set([]client.TypeVersion{{Version: "1", Convert: program}})}))
	}
	versions("{a: .a.new, b, one: true}")
	e, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{
		URL: client.Set(k.url), Dialect: client.Set("own"), EventTypes: client.Set([]string{"item.changed"}), Fields: client.Set([]string{"a", "one"}),
	})
	must(e, err)

	k.answers(http.StatusServiceUnavailable)
	tried := publish() // has been attempted before the change
	await(t, "the first attempt", func() bool { return len(k.of(tried)) == 1 })
	must(c.UpdateEndpoint(t.Context(), "acme", e.ID, client.EndpointInput{State: client.Set("paused")}))
	waiting := publish() // has not

	change := func(n int) {
		t.Helper()
		must(c.PutTenant(t.Context(), "acme", client.TenantInput{APIVersion: client.Set([]string{"", "1"}[n%2])}))
		versions(fmt.Sprintf("{changed: %d}", n))
		must(c.UpdateEndpoint(t.Context(), "acme", e.ID, client.EndpointInput{Fields: client.Set([]string{"b"})}))
		stop()
		cfg.Settings.PublicURL = fmt.Sprintf("https://new%d.example", n)
		putDialect(t, dir, "own.yaml", own(fmt.Sprintf("text%d", n)))
		c, stop = run(t, cfg)
	}
	change(0)
	k.answers(http.StatusOK)
	must(c.UpdateEndpoint(t.Context(), "acme", e.ID, client.EndpointInput{State: client.Set("active")}))
	fresh := publish()
	want := map[string]taken{
		tried:   {tried, "", `{"text":"first","link":"https://old.example/e/1","delivery":1,"data":{"a":1.10,"one":true}}`},
		waiting: {waiting, "", `{"text":"first","link":"https://old.example/e/1","delivery":2,"data":{"a":1.10,"one":true}}`},
		fresh:   {fresh, "", `{"text":"text0","link":"https://new0.example/e/1","delivery":3,"data":{"b":2}}`},
	}
	redeliver := func(id string) {
		t.Helper()
		ev, err := c.Event(t.Context(), "acme", id)
		must(ev, err)
		must(c.Redeliver(t.Context(), "acme", ev.Deliveries[0].ID))
	}
	check := func(round int, text string, times map[string]int) {
		t.Helper()
		for id, n := range times {
			await(t, fmt.Sprintf("request %d of event %s in round %d", n, id, round), func() bool { return len(k.of(id)) >= n })
			got := lastTaken(k.of(id))
			if got.Text != text {
				t.Errorf("round %d: the header is of the text %q, want the present one, %q", round, got.Text, text)
			}
			got.Text = ""
			if diff := cmp.Diff(want[id], got); diff != "" {
				t.Errorf("round %d: %s", round, diff)
			}
		}
	}
	redeliver(tried)
	check(0, "text0", map[string]int{tried: 2, waiting: 1, fresh: 1})
	for n := 1; n <= 2; n++ {
		change(n)
		must(c.CreateReplay(t.Context(), "acme", client.ReplayFilter{Endpoint: e.ID, States: []string{client.Delivered}}))
		check(n, fmt.Sprint("text", n), map[string]int{tried: 2 + n, waiting: 1 + n, fresh: 1 + n})
	}
	stop()
}

func lastTaken(list []taken) taken { return list[len(list)-1] }

// SM-V1: a tenant gets the version that it is pinned to, under every dialect; a
// converter that fails holds the delivery with the reason, and sends it when it
// is mended and the delivery asked for again.
func TestVersions(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newTaker(t)
	cfg := serve.Config{Settings: settings(t, dir), Exempt: []netip.AddrPort{k.addr}}
	cfg.Settings.AdminKey = "gk_admin_0123456789012345678901"
	putDialect(t, dir, "own.yml", own("only"))
	c, stop := run(t, cfg)
	defer stop()
	versions := func(list ...client.TypeVersion) {
		t.Helper()
		if _, err := c.PutEventType(t.Context(), "item.changed", client.EventTypeInput{Versions: client.Set(list)}); err != nil {
			t.Fatal(err)
		}
	}
	oldest := client.TypeVersion{Version: "2020-01-01", Convert: ".name"}
	versions(client.TypeVersion{Version: "2022-02-01"}, client.TypeVersion{Version: "2021-02-23", Convert: `if .name == "bad" then error("no name") else {name} end`}, oldest)
	for tenant, version := range map[string]string{"newest": "", "named": "2022-02-01", "between": "2021-12-31", "oldest": "2019-01-01"} {
		if _, err := c.PutTenant(t.Context(), tenant, client.TenantInput{APIVersion: client.Set(version)}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateEndpoint(t.Context(), tenant, client.EndpointInput{URL: client.Set(k.url), Dialect: client.Set("own")}); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(tenant, data string) string {
		t.Helper()
		r, err := c.Publish(t.Context(), tenant, client.Event{Type: "item.changed", Data: json.RawMessage(data)})
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	for tenant, want := range map[string]string{"newest": `{"name":"x" , "more":1.0}`, "named": `{"name":"x" , "more":1.0}`, "between": `{"name":"x"}`, "oldest": `"x"`} {
		id := publish(tenant, `{"name":"x" , "more":1.0}`)
		await(t, "the request of "+tenant, func() bool { return len(k.of(id)) == 1 })
		if body := k.of(id)[0].Body; !strings.HasSuffix(body, `"data":`+want+"}") {
			t.Errorf("%s: %s, want the data %s", tenant, body, want)
		}
	}

	id := publish("between", `{"name":"bad"}`)
	var d client.Delivery
	await(t, "the delivery to be held", func() bool {
		ev, err := c.Event(t.Context(), "between", id)
		if err != nil {
			t.Fatal(err)
		}
		d = ev.Deliveries[0]
		return d.State == client.Held
	})
	if !strings.Contains(d.Reason, "version 2021-02-23") || !strings.Contains(d.Reason, "no name") {
		t.Errorf("held, because %q", d.Reason)
	}
	versions(client.TypeVersion{Version: "2022-02-01"}, client.TypeVersion{Version: "2021-02-23", Convert: "{mended: .name}"}, oldest)
	if _, err := c.Redeliver(t.Context(), "between", d.ID); err != nil {
		t.Fatal(err)
	}
	await(t, "the mended request", func() bool { return len(k.of(id)) == 1 })
	if body := k.of(id)[0].Body; !strings.HasSuffix(body, `"data":{"mended":"bad"}}`) {
		t.Error(body)
	}
}

// An operator's dialect that cannot be used is refused before anything is made,
// each with its file, the line and the reason.
func TestBadDialectFiles(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	for name, c := range map[string]struct{ text, place, reason string }{
		"a key that there is not":               {strings.Replace(own("a"), "title:", "titel:", 1), "own.yaml:3", "titel"},
		"no YAML":                               {"name: [", "own.yaml:1", ""},
		"an empty file":                         {"", "own.yaml:1", ""},
		"a built-in one's name":                 {strings.Replace(own("a"), "name: own", "name: standard", 1), "own.yaml", "built in"},
		"another rule than its family's":        {strings.Replace(own("a"), "name: own", "name: standard@own", 1), "own.yaml", "secrets or ids"},
		"a file name that no backup would hold": {own("a"), "our own.yaml", "name of a dialect file"},
		"the name of another file":              {own("a"), "own.yaml", "other.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cfg := settings(t, dir)
			if c.reason == "other.yaml" {
				putDialect(t, dir, "other.yaml", own("b"))
			}
			name, _, _ := strings.Cut(c.place, ":")
			file := putDialect(t, dir, name, c.text)
			for what, err := range map[string]error{"check": serve.CheckSettings(&cfg, time.Now, none, nil), "start": startFails(t, cfg)} {
				var e *config.Error
				if !errors.As(err, &e) || !strings.HasPrefix(e.Setting, filepath.Dir(file)) || e.Remedy == "" {
					t.Fatalf("%s: %v", what, err)
				}
				if !strings.Contains(err.Error(), c.place) && c.reason != "other.yaml" || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("%s: %v, want it to say %s and %q", what, err, c.place, c.reason)
				}
			}
		})
	}
	t.Run("a schedule beyond the retention", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		cfg := settings(t, dir)
		putDialect(t, dir, "own.yaml", strings.Replace(own("a"), "[1h]", "[700h, 700h]", 1))
		for what, err := range map[string]error{"check": serve.CheckSettings(&cfg, time.Now, none, nil), "start": startFails(t, cfg)} {
			var e *config.Error
			if !errors.As(err, &e) || e.Setting != "--retention" || !strings.Contains(e.Reason, "dialect own") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	t.Run("what is no dialect file", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		cfg := settings(t, dir)
		putDialect(t, dir, "README.md", "what these are")
		putDialect(t, dir, ".own.yaml.swp", "an editor's")
		putDialect(t, dir, "own.yaml", own("a"))
		putDialect(t, dir, "variant.yaml", strings.Replace(own("a"), "name: own", "name: own@v2", 1))
		if err := serve.CheckSettings(&cfg, time.Now, none, nil); err != nil {
			t.Error(err)
		}
		r, err := serve.DialectsOf(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := r.Get("own@v2"); !ok {
			t.Errorf("there are %v", r.Names())
		}
	})
}

// startFails starts a server that is not to start.
func startFails(t *testing.T, cfg config.Config) error {
	t.Helper()
	s, err := serve.New(t.Context(), serve.Config{Settings: cfg, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err == nil {
		s.Stop(t.Context())
	}
	return err
}

// A dialect file that is gone does not keep a server from starting: what goes to
// endpoints that speak it waits, with the reason, and is sent when it is back.
func TestADialectFileIsGone(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newTaker(t)
	cfg := serve.Config{Settings: settings(t, dir), Exempt: []netip.AddrPort{k.addr}}
	cfg.Settings.AdminKey = "gk_admin_0123456789012345678901"
	file := putDialect(t, dir, "own.yaml", own("a"))
	c, stop := run(t, cfg)
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	in := client.EndpointInput{URL: client.Set(k.url), Dialect: client.Set("own"), EventTypes: client.Set([]string{"item.changed"})}
	if _, err := c.CreateEndpoint(t.Context(), "acme", in); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c, stop = run(t, cfg)
	if _, err := c.CreateEndpoint(t.Context(), "acme", in); err == nil {
		t.Error("an endpoint was made with a dialect that is not there")
	}
	for e, err := range c.Endpoints(t.Context(), "acme") {
		if err != nil {
			t.Fatal(err)
		}
		if shown, err := c.Endpoint(t.Context(), "acme", e.ID); err != nil || !strings.HasPrefix(shown.StateReason, "its dialect is not there any more") {
			t.Errorf("%+v, %v", shown, err)
		}
	}
	r, err := c.Publish(t.Context(), "acme", client.Event{Type: "item.gone", Data: json.RawMessage(`{}`)})
	if err != nil || r.Matched != 1 {
		t.Fatalf("%+v, %v: the dialect's last text does not say any more what its endpoints get", r, err)
	}
	var d client.Delivery
	await(t, "the delivery to wait", func() bool {
		ev, err := c.Event(t.Context(), "acme", r.ID)
		if err != nil {
			t.Fatal(err)
		}
		d = ev.Deliveries[0]
		return d.Reason != ""
	})
	if d.State != client.Pending || d.AttemptCount != 0 || !strings.Contains(d.Reason, `no dialect "own"`) {
		t.Errorf("%+v", d)
	}
	stop()
	putDialect(t, dir, "own.yaml", own("a"))
	c, stop = run(t, cfg)
	defer stop()
	if _, err := c.Redeliver(t.Context(), "acme", d.ID); err != nil {
		t.Fatal(err)
	}
	await(t, "the request", func() bool { return len(k.of(r.ID)) == 1 })
}

// PS-E2 and C1-X1 to C1-X4 through the whole server: events of other names, and
// the header that suppresses by its presence alone, in any case, for every
// event of a request.
func TestSuppressHooksHeader(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newTaker(t)
	cfg := serve.Config{Settings: settings(t, dir), Exempt: []netip.AddrPort{k.addr}}
	cfg.Settings.AdminKey = "gk_admin_0123456789012345678901"
	putDialect(t, dir, "own.yaml", own("a"))
	putDialect(t, dir, "quiet.yaml", strings.Replace(own("a"), "name: own", "name: quiet", 1)+"suppress: true\n")
	s, c := start(t, cfg)
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"own", "quiet"} {
		if _, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(k.url), Dialect: client.Set(name), EventTypes: client.Set([]string{"item.changed"})}); err != nil {
			t.Fatal(err)
		}
	}
	const event = `{"type":"item.gone","data":{}}`
	for _, r := range []struct {
		header, path, body string
		suppressed         bool
	}{
		{"", "/v1/tenants/acme/events", event, false},
		{"X-Suppress-Hooks:", "/v1/tenants/acme/events", event, true},
		{"x-suppress-hooks: false", "/v1/tenants/acme/events", event, true},
		{"X-SUPPRESS-HOOKS: 1", "/v1/events", `[{"tenant":"acme",` + event[1:] + `,{"tenant":"acme",` + event[1:] + `]`, true},
	} {
		for _, id := range publishWith(t, "http://"+s.Addr().String()+r.path, cfg.Settings.AdminKey, r.header, r.body) {
			ev, err := c.Event(t.Context(), "acme", id)
			if err != nil {
				t.Fatal(err)
			}
			if len(ev.Deliveries) != 2 {
				t.Fatalf("%q: %+v", r.header, ev)
			}
			got := ev.Deliveries[0] // the endpoint that was made last
			if suppressed := got.State == client.Cancelled; suppressed != r.suppressed || ev.Deliveries[1].State == client.Cancelled {
				t.Errorf("%q: %+v", r.header, ev.Deliveries)
			}
			if r.suppressed && !strings.Contains(got.Reason, "suppress") {
				t.Errorf("%q: the reason is %q", r.header, got.Reason)
			}
		}
	}
}

// publishWith publishes with one more header, "Name: value" in just this case,
// and gives the events' ids.
func publishWith(t *testing.T, url, key, header, body string) (ids []string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	if name, value, ok := strings.Cut(header, ":"); ok {
		req.Header[name] = []string{strings.TrimSpace(value)}
	}
	plain := &http.Transport{}
	defer plain.CloseIdleConnections()
	answer, err := (&http.Client{Transport: plain}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var out struct {
		ID      string
		Results []struct{ ID string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil || answer.StatusCode != http.StatusAccepted {
		t.Fatalf("status %d, %v", answer.StatusCode, err)
	}
	for _, r := range out.Results {
		ids = append(ids, r.ID)
	}
	if out.ID != "" {
		ids = append(ids, out.ID)
	}
	return ids
}
