package auth_test

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/hook"
)

// records are what portal links rest on.
type records struct {
	keys
	tenants map[hook.TenantNum]*hook.Tenant
}

func (r *records) KeyByID(id string) (*hook.Key, bool) {
	for _, k := range r.keys {
		if k.ID == id {
			return k, true
		}
	}
	return nil, false
}

func (r *records) TenantByNum(num hook.TenantNum) (*hook.Tenant, bool) {
	t, ok := r.tenants[num]
	return t, ok
}

// linked is an authenticator with a manager's key "k", and the tenants acme and
// other; acme's link is made with it.
func linked(t *testing.T, secrets ...[]byte) (*auth.Authenticator, *records, hook.Secret) {
	t.Helper()
	if secrets == nil {
		secrets = [][]byte{bytes.Repeat([]byte{1}, 32)}
	}
	known := &records{keys{}, map[hook.TenantNum]*hook.Tenant{1: {ID: "acme", Num: 1}, 2: {ID: "other", Num: 2}}}
	known.add("k", hook.Key{ID: "key_1", Hint: "gk_a", Tenants: []string{"acme", "other"}, Scopes: []hook.Scope{hook.ScopeManage}, ExpiresAt: time.Now().Add(12 * time.Hour)})
	a := authenticator(t, auth.Config{Keys: known, Links: &auth.Links{Secrets: secrets, Known: known}})
	maker, err := a.AuthenticateKey("k")
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := a.MakeLink(maker, known.tenants[1], time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a, known, token
}

// key is the record of "k".
func (r *records) key() *hook.Key { return r.keys[sha256.Sum256([]byte("k"))] }

// case 97: a link is for its tenant and for what customers do, and makes no others.
func TestLinkIsForItsTenant(t *testing.T) {
	t.Parallel()
	a, known, token := linked(t)
	p, err := a.Authenticate("Bearer " + string(token))
	if err != nil || !p.Customer() || !p.Sees("acme") || p.Sees("other") || !strings.HasPrefix(p.KeyID(), "pl_") {
		t.Fatalf("%+v, %v", p, err)
	}
	if actor := p.Actor(); actor.Kind != hook.ActorPortal || actor.KeyID != p.KeyID() || actor.KeyName != "gk_a" {
		t.Errorf("acts as %+v", actor)
	}
	for scope, want := range map[hook.Scope]hook.Code{
		hook.ScopePortal: "", hook.ScopePublish: hook.CodeForbidden, hook.ScopeManage: hook.CodeForbidden, hook.ScopeRead: hook.CodeForbidden, hook.ScopeAdmin: hook.CodeForbidden,
	} {
		if got := hook.CodeOf(p.May(scope, "acme")); got != want {
			t.Errorf("%s for acme: %q, want %q", scope, got, want)
		}
		if got := hook.CodeOf(p.May(scope, "other")); got != hook.CodeNotFound {
			t.Errorf("%s for other: %q", scope, got)
		}
	}
	if _, _, err := a.MakeLink(p, known.tenants[1], time.Hour); hook.CodeOf(err) != hook.CodeForbidden {
		t.Errorf("a link makes a link: %v", err)
	}
	if len(a.Uses()) != 1 {
		t.Errorf("the use of links is remembered, however many there are: %v", a.Uses())
	}
}

// case 97: what a link rests on ends it.
func TestLinkEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *records){
		"in time":                   func(*records) { time.Sleep(time.Hour) },
		"with its maker":            func(r *records) { r.key().Deleted = true },
		"when its maker expires":    func(r *records) { r.key().ExpiresAt = time.Now() },
		"when its maker loses":      func(r *records) { r.key().Tenants = []string{"other"} },
		"when its maker may less":   func(r *records) { r.key().Scopes = []hook.Scope{hook.ScopeRead} },
		"with its tenant":           func(r *records) { r.tenants[1].Deleted = true },
		"when its tenant is purged": func(r *records) { delete(r.tenants, 1) },
		"with all of its tenant":    func(r *records) { r.tenants[1].LinkEpoch++ },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a, known, token := linked(t)
				time.Sleep(time.Hour - 2*time.Second)
				if _, err := a.AuthenticateKey(string(token)); err != nil {
					t.Fatalf("before: %v", err)
				}
				end(known)
				if _, err := a.AuthenticateKey(string(token)); hook.CodeOf(err) != hook.CodeUnauthorized {
					t.Errorf("after: %v", err)
				}
			})
		})
	}
}

// Links outlive the rotation of what authenticates them as long as the old secret
// is kept, and no longer.
func TestLinkSecretsRotate(t *testing.T) {
	t.Parallel()
	before, after := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	_, _, token := linked(t, before)
	both, _, _ := linked(t, after, before)
	if _, err := both.AuthenticateKey(string(token)); err != nil {
		t.Errorf("while both are there: %v", err)
	}
	rotated, _, _ := linked(t, after)
	if _, err := rotated.AuthenticateKey(string(token)); hook.CodeOf(err) != hook.CodeUnauthorized {
		t.Errorf("once the old one is gone: %v", err)
	}
	for _, bad := range []auth.Links{{Known: &records{}}, {Secrets: [][]byte{before}}, {Secrets: [][]byte{before, nil}, Known: &records{}}} {
		if _, err := auth.New(auth.Config{Keys: keys{}, Links: &bad}); err == nil {
			t.Errorf("%d secrets, records: %t: taken", len(bad.Secrets), bad.Known != nil)
		}
	}
}

// A key from elsewhere may begin as tokens do, and whatever is no token is an
// unknown key (case 102, case 103).
func FuzzLinkTokens(f *testing.F) {
	for _, seed := range []string{"gp_", "gp_AAAA", "gp_cGxfIGtleV8xIDEgMCA5OTk5OTk5OTk5OTk", "gp_eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	known := &records{keys{}, map[hook.TenantNum]*hook.Tenant{1: {ID: "acme", Num: 1}}}
	known.add("gp_a key from elsewhere", hook.Key{ID: "key_1"})
	a, err := auth.New(auth.Config{Keys: known, Links: &auth.Links{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}, Known: known}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if p, err := a.AuthenticateKey(token); p != nil || hook.CodeOf(err) != hook.CodeUnauthorized {
			t.Errorf("%q: %v, %v", token, p, err)
		}
		if _, err := a.AuthenticateKey("gp_a key from elsewhere"); err != nil {
			t.Error(err)
		}
	})
}
