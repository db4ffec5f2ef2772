package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/auth/callers"
)

// clock is the time of an API, which tests set.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

func TestRateLimit(t *testing.T) {
	t.Parallel()
	now := newClock()
	b := setup(t, func(c *api.Config) {
		c.RateLimit, c.Now = api.Rate{N: 2, Per: time.Second, Burst: 5}, now.now
	})
	now.pass(time.Minute)
	one, other := b.key(`{"scopes":["read"]}`), b.key(`{"scopes":["read"]}`)
	for i, want := range []string{`"key";r=4;t=1`, `"key";r=3;t=1`, `"key";r=2;t=2`, `"key";r=1;t=2`, `"key";r=0;t=3`} {
		a := b.want(http.StatusOK, "GET", "/v1/tenants", "", as(one))
		if a.header.Get("RateLimit") != want || a.header.Get("RateLimit-Policy") != `"key";q=5;w=3` {
			t.Errorf("%d: %v, want %s", i, a.header, want)
		}
	}
	a := b.want(http.StatusTooManyRequests, "GET", "/v1/tenants", "", as(one))
	if a.text("type") != "/v1/problems/rate_limited" || a.header.Get("Retry-After") != "1" || a.header.Get("RateLimit") != `"key";r=0;t=3` {
		t.Errorf("%v %s", a.header, a.body)
	}
	b.want(http.StatusOK, "GET", "/v1/tenants", "", as(other)) // a limit each
	b.want(http.StatusNotFound, "GET", "/v1/problems/none", "", as(one))
	now.pass(499 * time.Millisecond)
	b.want(http.StatusTooManyRequests, "GET", "/v1/tenants", "", as(one))
	now.pass(time.Millisecond)
	b.want(http.StatusOK, "GET", "/v1/tenants", "", as(one))
	b.want(http.StatusTooManyRequests, "GET", "/v1/tenants", "", as(one))
	now.pass(time.Hour) // it never holds more than the burst
	for range 5 {
		b.want(http.StatusOK, "GET", "/v1/tenants", "", as(one))
	}
	b.want(http.StatusTooManyRequests, "GET", "/v1/tenants", "", as(one))
}

func TestRateLimitSlow(t *testing.T) {
	t.Parallel()
	now := newClock()
	b := setup(t, func(c *api.Config) { c.RateLimit, c.Now = api.Rate{N: 10, Per: time.Hour}, now.now })
	key := b.key(`{"scopes":["read"]}`)
	for range 10 {
		b.want(http.StatusOK, "GET", "/v1/tenants", "", as(key))
	}
	a := b.want(http.StatusTooManyRequests, "GET", "/v1/tenants", "", as(key))
	if a.header.Get("Retry-After") != "360" || a.header.Get("RateLimit-Policy") != `"key";q=10;w=3600` || a.header.Get("RateLimit") != `"key";r=0;t=3600` {
		t.Errorf("%v", a.header)
	}
}

func TestNoRateLimit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.want(http.StatusOK, "GET", "/v1/tenants", "")
	for _, name := range []string{"RateLimit", "RateLimit-Policy", "Retry-After"} {
		if v := a.header.Get(name); v != "" {
			t.Errorf("%s: %s", name, v)
		}
	}
}

func prefixes(t *testing.T, texts ...string) []netip.Prefix {
	t.Helper()
	out := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// from sends a request with a key from an address.
func (b *bundle) from(addr, key string) *answer {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), "GET", "/v1/tenants", nil)
	r.RemoteAddr = addr
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return b.serve(r)
}

// case 102: who guesses is slowed down, and shuts out nobody.
func TestFailedKeys(t *testing.T) {
	t.Parallel()
	now := newClock()
	b := setup(t, func(c *api.Config) { c.FailedKeys, c.Now = api.Rate{N: 3, Per: time.Minute}, now.now })
	known, late := b.key(`{"scopes":["read"]}`), b.key(`{"scopes":["read"]}`)
	const here = "198.51.100.7:1000"
	want := func(status int, addr, key string) *answer {
		t.Helper()
		a := b.from(addr, key)
		if a.status != status {
			t.Fatalf("%s: %d, want %d: %s", addr, a.status, status, a.body)
		}
		return a
	}
	want(200, here, known)
	for range 3 {
		want(401, here, "gk_wrong")
	}
	a := want(429, here, "gk_wrong")
	if a.header.Get("Retry-After") != "20" || a.text("type") != "/v1/problems/rate_limited" {
		t.Errorf("%v %s", a.header, a.body)
	}
	// A right key is told apart from a wrong one by nothing, unless it worked before.
	right := want(429, here, late)
	if right.text("detail") != a.text("detail") || right.header.Get("Retry-After") != a.header.Get("Retry-After") {
		t.Errorf("%s\n%s", right.body, a.body)
	}
	want(200, here, known)
	want(401, here, "")                  // no key is no guess
	want(200, "198.51.100.8:1000", late) // others are others
	want(429, "198.51.100.7:2000", late) // the port says nothing
	if n := strings.Count(b.log.String(), "too many wrong keys"); n != 1 || !strings.Contains(b.log.String(), `"client":"198.51.100.7"`) {
		t.Errorf("%d warnings", n)
	}
	now.pass(20 * time.Second)
	want(401, here, "gk_wrong")
	want(429, here, "gk_wrong")
	now.pass(20 * time.Second)
	want(200, here, late)

	// Of IPv6, a network counts.
	for i := range 3 {
		want(401, fmt.Sprintf("[2001:db8::%d]:1", i), "gk_wrong")
	}
	want(429, "[2001:db8::ffff:1]:1", "gk_wrong")
	want(401, "[2001:db8:0:1::1]:1", "gk_wrong")
}

// case 102: many addresses do not take memory without end.
func TestFailedKeysForgets(t *testing.T) {
	t.Parallel()
	now := newClock()
	const clients = 1<<14 + 1000 // more than are remembered
	b := setup(t, func(c *api.Config) { c.FailedKeys, c.Now = api.Rate{N: 3, Per: time.Hour}, now.now })
	const worst = "198.51.100.7:1"
	for range 3 {
		b.from(worst, "gk_wrong")
	}
	for i := range clients {
		if a := b.from(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), "gk_wrong"); a.status != 401 {
			t.Fatal(a.status)
		}
	}
	if n := b.api.(*api.API).FailingClients(); n > 1<<14 {
		t.Errorf("%d addresses are remembered", n)
	}
	if a := b.from(worst, "gk_wrong"); a.status != 429 {
		t.Errorf("the worst was forgotten: %d", a.status)
	}
}

// Of the headers that tell who calls, those alone count that trusted proxies wrote.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.Proxies = prefixes(t, "10.0.0.0/8", "fd00::/8") })
	for _, c := range []struct {
		name, peer     string
		xff, forwarded []string
		want           string
	}{
		{"no header", "198.51.100.7:1", nil, nil, "198.51.100.7"},
		{"stranger lies", "198.51.100.7:1", []string{"1.2.3.4"}, []string{"for=1.2.3.4"}, "198.51.100.7"},
		{"proxy", "10.0.0.1:1", []string{"198.51.100.7"}, nil, "198.51.100.7"},
		{"proxy says nothing", "10.0.0.1:1", nil, nil, "10.0.0.1"},
		{"caller lies to the proxy", "10.0.0.1:1", []string{"1.2.3.4, 198.51.100.7"}, nil, "198.51.100.7"},
		{"caller lies in a line of its own", "10.0.0.1:1", []string{"1.2.3.4", "198.51.100.7"}, nil, "198.51.100.7"},
		{"two proxies", "10.0.0.1:1", []string{"198.51.100.7, 10.0.0.2"}, nil, "198.51.100.7"},
		{"two proxies, two lines", "10.0.0.1:1", []string{"198.51.100.7", "10.0.0.2"}, nil, "198.51.100.7"},
		{"proxies alone", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, nil, "10.0.0.3"},
		{"rubbish behind the truth", "10.0.0.1:1", []string{"rubbish, 198.51.100.7"}, nil, "198.51.100.7"},
		{"rubbish", "10.0.0.1:1", []string{"198.51.100.7, rubbish"}, nil, "10.0.0.1"},
		{"empty", "10.0.0.1:1", []string{""}, nil, "10.0.0.1"},
		{"unknown", "10.0.0.1:1", []string{"198.51.100.7, unknown, 10.0.0.2"}, nil, "10.0.0.2"},
		{"with a port", "10.0.0.1:1", []string{"198.51.100.7:5555"}, nil, "198.51.100.7"},
		{"IPv6", "[fd00::1]:1", []string{"2001:db8::1"}, nil, "2001:db8::1"},
		{"IPv6 in brackets", "[fd00::1]:1", []string{"[2001:db8::1]"}, nil, "2001:db8::1"},
		{"IPv6 with a port", "[fd00::1]:1", []string{"[2001:db8::1]:5555"}, nil, "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.7"}, nil, "198.51.100.7"},
		{"Forwarded", "10.0.0.1:1", nil, []string{`for=198.51.100.7;proto=https;by=10.0.0.1`}, "198.51.100.7"},
		{"Forwarded, IPv6", "10.0.0.1:1", nil, []string{`Proto=https;For="[2001:db8::1]:4711"`}, "2001:db8::1"},
		{"Forwarded, caller lies", "10.0.0.1:1", nil, []string{`for=1.2.3.4, for=198.51.100.7`}, "198.51.100.7"},
		{"Forwarded, hidden", "10.0.0.1:1", nil, []string{`for=_secret`}, "10.0.0.1"},
		{"Forwarded without for", "10.0.0.1:1", nil, []string{`proto=https`}, "10.0.0.1"},
		{"both agree", "10.0.0.1:1", []string{"198.51.100.7"}, []string{"for=198.51.100.7"}, "198.51.100.7"},
		{"both disagree", "10.0.0.1:1", []string{"198.51.100.7"}, []string{"for=1.2.3.4"}, "10.0.0.1"},
		{"too many proxies", "10.0.0.1:1", []string{"198.51.100.7" + strings.Repeat(", 10.0.0.2", 16)}, nil, "10.0.0.2"},
		{"no address", "@", nil, nil, "invalid IP"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/problems/invalid", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"], r.Header["Forwarded"] = c.xff, c.forwarded
		a := b.serve(r)
		_, line, _ := strings.Cut(b.log.String(), a.header.Get("Request-Id"))
		line, _, _ = strings.Cut(line, "\n")
		if !strings.Contains(line, `"client":"`+c.want+`"`) {
			t.Errorf("%s: want %s: %s", c.name, c.want, line)
		}
	}
}

// case 102: what is remembered of a connection is about the key that worked on
// it, and no other.
func TestFailedKeysOnOneConnection(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.FailedKeys = api.Rate{N: 3, Per: time.Hour} })
	known, late := b.key(`{"scopes":["read"]}`), b.key(`{"scopes":["read"]}`)
	srv := httptest.NewUnstartedServer(b.api)
	srv.Config.ConnContext = callers.ConnContext
	srv.Start()
	defer srv.Close()
	for _, step := range []struct {
		key  string
		want int
	}{{known, 200}, {known, 200}, {"gk_wrong", 401}, {"gk_wrong", 401}, {"gk_wrong", 401}, {"gk_wrong", 429}, {late, 429}, {known, 200}, {late, 429}} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/v1/tenants", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+step.key)
		a, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, a.Body)
		a.Body.Close()
		if a.StatusCode != step.want {
			t.Fatalf("with %.8s: %d, want %d", step.key, a.StatusCode, step.want)
		}
	}
}
