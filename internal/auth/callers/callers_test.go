package callers_test

import (
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/auth/callers"
	"grapnel/internal/hook"
)

// keys are those that there are.
type keys map[[32]byte]*hook.Key

func (k keys) Key(hash [32]byte) (*hook.Key, bool) {
	key, ok := k[hash]
	return key, ok
}

// gate is the callers of a test, whose clock it sets.
type gate struct {
	t   *testing.T
	c   *callers.Callers
	now time.Time
}

func newGate(t *testing.T, c callers.Config) *gate {
	t.Helper()
	known := keys{}
	for _, id := range []string{"a", "b"} {
		hash := sha256.Sum256([]byte("gk_" + id))
		known[hash] = &hook.Key{ID: id, Hash: hash}
	}
	g := &gate{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	if c.Auth, err = auth.New(auth.Config{Keys: known}); err != nil {
		t.Fatal(err)
	}
	c.Logger, c.Now = slog.New(slog.DiscardHandler), func() time.Time { return g.now }
	if g.c, err = callers.New(c); err != nil {
		t.Fatal(err)
	}
	return g
}

// call sends a key from an address, and gives the code of the error and what
// the caller is told.
func (g *gate) call(addr, key string) (hook.Code, http.Header) {
	r := httptest.NewRequestWithContext(g.t.Context(), "GET", "/", nil)
	r.RemoteAddr = addr
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	told := http.Header{}
	_, err := g.c.Bearer(told, r)
	if err == nil {
		return "", told
	}
	return hook.CodeOf(err), told
}

func (g *gate) want(code hook.Code, addr, key string) http.Header {
	g.t.Helper()
	got, told := g.call(addr, key)
	if got != code {
		g.t.Errorf("%s with %q: %q, want %q", addr, key, got, code)
	}
	return told
}

func TestNewWantsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := callers.New(callers.Config{}); err == nil {
		t.Error("callers without anything to know keys by")
	}
}

// A limit is each key's own, whatever address it comes from, and comes back
// with time.
func TestKeysHaveTheirOwnLimits(t *testing.T) {
	t.Parallel()
	g := newGate(t, callers.Config{Keys: callers.Rate{N: 2, Per: time.Second, Burst: 3}})
	for i := range 3 {
		told := g.want("", "192.0.2."+strconv.Itoa(i+1)+":1", "gk_a")
		if !strings.HasPrefix(told.Get("Ratelimit"), `"key";r=`+strconv.Itoa(2-i)) || told.Get("Ratelimit-Policy") == "" {
			t.Errorf("%v", told)
		}
	}
	if told := g.want(hook.CodeRateLimited, "192.0.2.9:1", "gk_a"); told.Get("Retry-After") != "1" {
		t.Errorf("%v", told)
	}
	g.want("", "192.0.2.9:1", "gk_b")
	g.now = g.now.Add(time.Second)
	g.want("", "192.0.2.9:1", "gk_a")
	g.want("", "192.0.2.9:1", "gk_a")
	g.want(hook.CodeRateLimited, "192.0.2.9:1", "gk_a")
	g.now = g.now.Add(-time.Hour) // a clock that is set back gives nothing
	g.want(hook.CodeRateLimited, "192.0.2.9:1", "gk_a")
}

// case 102: wrong keys are counted by address, of IPv6 by its network, and a
// key that has worked from there goes on working.
func TestWrongKeysAreCountedByAddress(t *testing.T) {
	t.Parallel()
	g := newGate(t, callers.Config{Failed: callers.Rate{N: 3, Per: time.Minute}})
	for _, c := range []struct{ here, same, other string }{
		{"192.0.2.1:1", "192.0.2.1:99", "192.0.2.2:1"},
		{"[2001:db8::1]:1", "[2001:db8::ffff:1]:1", "[2001:db8:0:1::1]:1"},
		{"[::ffff:198.51.100.1]:1", "198.51.100.1:1", "198.51.100.2:1"},
	} {
		g.want("", c.here, "gk_a")
		for range 3 {
			g.want(hook.CodeUnauthorized, c.here, "gk_wrong")
			g.want(hook.CodeUnauthorized, c.here, "") // nobody's guess
		}
		if told := g.want(hook.CodeRateLimited, c.same, "gk_wrong"); told.Get("Retry-After") != "20" {
			t.Errorf("%v", told)
		}
		g.want("", c.same, "gk_a")
		g.want(hook.CodeRateLimited, c.same, "gk_b") // right, but a guesser could tell by it
		g.want(hook.CodeUnauthorized, c.other, "gk_wrong")
		g.want("", c.other, "gk_b")
		g.now = g.now.Add(20 * time.Second)
		g.want("", c.same, "gk_b")
	}
}

func TestWithoutLimitsNothingIsCounted(t *testing.T) {
	t.Parallel()
	g := newGate(t, callers.Config{})
	for range 100 {
		g.want(hook.CodeUnauthorized, "192.0.2.1:1", "gk_wrong")
		if told := g.want("", "192.0.2.1:1", "gk_a"); len(told) > 0 {
			t.Fatalf("%v", told)
		}
	}
	if n := g.c.Failing(); n != 0 {
		t.Errorf("%d addresses are remembered", n)
	}
}

// Whoever has many addresses cannot fill the memory with them.
func TestManyAddressesAreBounded(t *testing.T) {
	t.Parallel()
	g := newGate(t, callers.Config{Failed: callers.Rate{N: 3, Per: time.Minute}})
	const most = 1 << 14
	for i := range 3 * most {
		var addr [4]byte
		binary.BigEndian.PutUint32(addr[:], 0x0a000000+uint32(i))
		g.want(hook.CodeUnauthorized, netip.AddrPortFrom(netip.AddrFrom4(addr), 1).String(), "gk_wrong")
	}
	if n := g.c.Failing(); n > most || n < most/2 {
		t.Errorf("%d addresses are remembered, want at most %d", n, most)
	}
}
