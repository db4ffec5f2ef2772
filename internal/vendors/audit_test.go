package vendors_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// case 118: what is done through a vendor's management API has its entry, which names the
// contract and the key, and so has a secret that is shown there.
func TestVendorsChangesAreNoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	key := w.key([]string{"acme"}, hook.ScopeManage)
	var secret string
	w.as("customers1st", key, func(_ dialect.Control, _ dialect.Caller, a dialect.Account) {
		shown, err := a.StoreSecret()
		must(t, err)
		secret = string(shown)
	})
	w.probe = func(c dialect.Control, _ http.ResponseWriter, r *http.Request) {
		by, err := c.Caller(r, hook.Secret(key))
		must(t, err)
		a, err := by.Only()
		must(t, err)
		url := "https://example.com/hidden"
		_, _, err = a.Create(r.Context(), dialect.HookInput{URL: &url})
		must(t, err)
	}
	w.do("POST", "/probe/smake/1", "", nil)
	p, err := w.store.AuditLog(t.Context(), store.AuditQuery{Tenant: hook.AllTenants, Limit: 2})
	must(t, err)
	for i, want := range []struct{ action, contract string }{{"endpoint.create", "smake"}, {"tenant.reveal_secret", "customers1st"}} {
		e := p.Entries[i]
		if e.Action != want.action || e.Actor.Kind != hook.ActorVendor || e.Actor.Contract != want.contract || e.Actor.KeyID == "" || e.Actor.Request == "" || e.Tenant != "acme" {
			t.Errorf("entry %d is %+v, want %+v", i, e, want)
		}
	}
	text, _ := json.Marshal(p.Entries)
	if secret == "" || strings.Contains(string(text), secret) || strings.Contains(string(text), "hidden") || strings.Contains(string(text), key) {
		t.Errorf("the audit log holds %s", text)
	}
}
