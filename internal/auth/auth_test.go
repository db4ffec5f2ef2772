package auth_test

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/hook"
)

type keys map[[32]byte]*hook.Key

func (k keys) Key(hash [32]byte) (*hook.Key, bool) {
	key, ok := k[hash]
	return key, ok
}

func (k keys) add(text string, key hook.Key) {
	key.Hash = sha256.Sum256([]byte(text))
	k[key.Hash] = &key
}

func authenticator(t *testing.T, c auth.Config) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	known := keys{}
	known.add("gk_good", hook.Key{ID: "key_1", Scopes: []hook.Scope{hook.ScopeRead}})
	known.add("with space inside", hook.Key{ID: "key_2"})
	known.add("gk_gone", hook.Key{ID: "key_3", Deleted: true})
	a := authenticator(t, auth.Config{Keys: known})
	for _, c := range []struct {
		header, id string
	}{
		{"Bearer gk_good", "key_1"},
		{"bearer gk_good", "key_1"},
		{"BEARER   gk_good ", "key_1"},
		{"Bearer with space inside", "key_2"},
		{"", ""},
		{"Bearer", ""},
		{"Bearer ", ""},
		{"Basic gk_good", ""},
		{"gk_good", ""},
		{"Bearer gk_goo", ""},
		{"Bearer gk_good2", ""},
		{"Bearer GK_GOOD", ""},
		{"Bearer gk_gone", ""},
		{"Bearer " + strings.Repeat("x", 1<<20), ""},
	} {
		p, err := a.Authenticate(c.header)
		if c.id == "" {
			if hook.CodeOf(err) != hook.CodeUnauthorized {
				t.Errorf("%.40q: %v, want unauthorized", c.header, err)
			}
			continue
		}
		if err != nil || p.KeyID() != c.id {
			t.Errorf("%q: %v, want %s", c.header, err, c.id)
		}
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		known := keys{}
		known.add("gk_short", hook.Key{ID: "key_1", ExpiresAt: time.Now().Add(time.Minute)})
		a := authenticator(t, auth.Config{Keys: known})
		if _, err := a.AuthenticateKey("gk_short"); err != nil {
			t.Errorf("before: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := a.AuthenticateKey("gk_short"); hook.CodeOf(err) != hook.CodeUnauthorized {
			t.Errorf("at its end: %v", err)
		}
	})
}

// case 98
func TestTroubleIsNoRefusal(t *testing.T) {
	t.Parallel()
	known := keys{}
	known.add("gk_good", hook.Key{ID: "key_1"})
	broken := errors.New("disk on fire")
	a := authenticator(t, auth.Config{Keys: known, Current: func() error { return broken }})
	for _, key := range []string{"gk_good", "gk_bad"} {
		p, err := a.AuthenticateKey(key)
		if p != nil || hook.CodeOf(err) != hook.CodeUnavailable || !errors.Is(err, broken) {
			t.Errorf("%s: %v, %v; want unavailable", key, p, err)
		}
	}
	if _, err := a.Authenticate("Basic x"); hook.CodeOf(err) != hook.CodeUnauthorized {
		t.Errorf("no key at all needs no look: %v", err)
	}
}

// case 93, case 94
func TestMay(t *testing.T) {
	t.Parallel()
	const (
		ok        = hook.Code("")
		forbidden = hook.CodeForbidden
		missing   = hook.CodeNotFound
	)
	for _, c := range []struct {
		scopes  []hook.Scope
		tenants []string
		// what comes of publish, manage, read, admin for tenant acme
		acme [4]hook.Code
		// the same for tenant other
		other [4]hook.Code
	}{
		{[]hook.Scope{hook.ScopeAdmin}, nil, [4]hook.Code{ok, ok, ok, ok}, [4]hook.Code{ok, ok, ok, ok}},
		{[]hook.Scope{hook.ScopePublish}, nil, [4]hook.Code{ok, forbidden, forbidden, forbidden}, [4]hook.Code{ok, forbidden, forbidden, forbidden}},
		{[]hook.Scope{hook.ScopeManage}, []string{"acme"}, [4]hook.Code{forbidden, ok, ok, forbidden}, [4]hook.Code{missing, missing, missing, missing}},
		{[]hook.Scope{hook.ScopeRead}, []string{"acme", "more"}, [4]hook.Code{forbidden, forbidden, ok, forbidden}, [4]hook.Code{missing, missing, missing, missing}},
		{[]hook.Scope{hook.ScopePublish, hook.ScopeRead}, []string{"acme"}, [4]hook.Code{ok, forbidden, ok, forbidden}, [4]hook.Code{missing, missing, missing, missing}},
		{nil, nil, [4]hook.Code{forbidden, forbidden, forbidden, forbidden}, [4]hook.Code{forbidden, forbidden, forbidden, forbidden}},
	} {
		known := keys{}
		known.add("k", hook.Key{Scopes: c.scopes, Tenants: c.tenants})
		p, err := authenticator(t, auth.Config{Keys: known}).AuthenticateKey("k")
		if err != nil {
			t.Fatal(err)
		}
		for i, scope := range []hook.Scope{hook.ScopePublish, hook.ScopeManage, hook.ScopeRead, hook.ScopeAdmin} {
			if got := hook.CodeOf(p.May(scope, "acme")); got != c.acme[i] {
				t.Errorf("%v of %v: %s for acme: %q, want %q", c.scopes, c.tenants, scope, got, c.acme[i])
			}
			if got := hook.CodeOf(p.May(scope, "other")); got != c.other[i] {
				t.Errorf("%v of %v: %s for other: %q, want %q", c.scopes, c.tenants, scope, got, c.other[i])
			}
		}
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tenants []string
		only    string
	}{{nil, ""}, {[]string{"acme"}, "acme"}, {[]string{"acme", "other"}, ""}} {
		known := keys{}
		known.add("k", hook.Key{Tenants: c.tenants})
		p, err := authenticator(t, auth.Config{Keys: known}).AuthenticateKey("k")
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Only(); got != c.only || ok != (c.only != "") {
			t.Errorf("%v: %q, %v", c.tenants, got, ok)
		}
	}
}

// A key's last use is known to the second, whether it may do what was asked
// or not; who is not recognised uses nothing.
func TestLastUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hash := sha256.Sum256([]byte("k"))
		old := sha256.Sum256([]byte("old"))
		a := authenticator(t, auth.Config{Keys: keys{hash: {ID: "key_1", Hash: hash}, old: {ID: "key_2", Hash: old, ExpiresAt: time.Now().Add(-time.Second)}}})
		if !a.LastUsed("key_1").IsZero() || len(a.Uses()) != 0 {
			t.Error("used before it was")
		}
		var at time.Time
		for range 3 {
			time.Sleep(1500 * time.Millisecond)
			at = time.Now().Truncate(time.Second)
			if _, err := a.AuthenticateKey("k"); err != nil {
				t.Fatal(err)
			}
		}
		a.AuthenticateKey("old")
		a.AuthenticateKey("unknown")
		if got := a.Uses(); len(got) != 1 || !got["key_1"].Equal(at) || !a.LastUsed("key_1").Equal(at) {
			t.Errorf("%v, want key_1 at %v", got, at)
		}
	})
}
