package vendors_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/auth/callers"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/vendors"
)

// watched notes the events that are read.
type watched struct {
	store.Reader
	told *strings.Builder
}

func (w watched) Event(ctx context.Context, tenant hook.TenantNum, id hook.EventID) (*hook.Event, error) {
	w.told.WriteString("read ")
	return w.Reader.Event(ctx, tenant, id)
}

// The log of many accounts reads no event but those that it shows, and one
// after the other: events may be large.
func TestA2R5LogOfAllAccounts(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	w := newWorld(t, func(c *vendors.Config, _ *callers.Config) { c.Reader = watched{c.Reader, &told} })
	var hooks []*hook.Endpoint
	for _, tenant := range []string{"acme", "bolt", "other"} {
		w.tenant(tenant)
		hooks = append(hooks, w.endpoint(tenant, "api2cart", "https://"+tenant+".example/"))
	}
	now := time.Now()
	for i := range 6 { // of the accounts in turn, the later ones tried earlier
		e := hooks[i%2]
		w.attempt(w.publish(e.Tenant, "product.add", fmt.Sprintf(`{"id":%d}`, i)), e, hook.Attempt{N: 1, State: hook.Failed, Status: 500, At: now.Add(-time.Duration(i) * time.Minute)})
	}
	w.attempt(w.publish("other", "product.add", `{"id":9}`), hooks[2], hook.Attempt{N: 1, State: hook.Failed, Status: 500})
	_, key, err := w.manager.CreateKey(t.Context(), manage.KeyInput{Tenants: []string{"acme", "bolt"}, Scopes: []hook.Scope{hook.ScopeManage}})
	must(t, err)
	w.probe = func(c dialect.Control, _ http.ResponseWriter, r *http.Request) {
		by, err := c.Caller(r, key)
		must(t, err)
		for _, q := range []struct {
			name string
			dialect.LogQuery
			want string
		}{
			{"all", dialect.LogQuery{Size: 10}, "read 0 read 1 read 2 read 3 read 4 read 5 of 6, more: false"},
			{"a part", dialect.LogQuery{Start: 2, Size: 2}, "read 2 read 3 of 6, more: true"},
			{"of one account's hook", dialect.LogQuery{Size: 2, Hooks: []string{hooks[1].VendorID}}, "read 1 read 3 of 3, more: true"},
			{"of another's", dialect.LogQuery{Size: 2, Hooks: []string{hooks[2].VendorID}}, "of 0, more: false"},
			{"since", dialect.LogQuery{Size: 10, Since: now.Add(-90 * time.Second)}, "read 0 read 1 of 2, more: false"},
			{"behind the end", dialect.LogQuery{Start: 6, Size: 250}, "of 6, more: false"},
			{"far behind it", dialect.LogQuery{Start: math.MaxInt, Size: math.MaxInt}, "of 6, more: false"},
		} {
			told.Reset()
			page, err := by.Log(t.Context(), q.LogQuery, func(e *dialect.LogEntry) {
				told.WriteString(strings.Trim(string(e.Event.Data), `{}"id:`) + " ")
			})
			must(t, err)
			if fmt.Fprintf(&told, "of %d, more: %t", page.Total, page.More); told.String() != q.want || page.Entries != nil || !page.Counted {
				t.Errorf("%s: %s, want %s", q.name, &told, q.want)
			}
		}
	}
	if got := w.do("POST", "/probe/api2cart/1", "", nil); got.Code != 200 {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// What the server itself tells a hook of is no event of the vendor's (A2-R3).
func TestA2R3LogLeavesOutTheServersOwnEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	e := w.endpoint("acme", "api2cart", "https://a.example/")
	lost, _, err := w.ingest.Publish(t.Context(), &ingest.Submission{Only: e, Items: []ingest.Item{{Tenant: "acme", Type: manage.NoticeLost, Data: []byte(`{}`)}}})
	must(t, err)
	event, err := w.store.Event(t.Context(), hook.AllTenants, lost[0].ID)
	must(t, err)
	w.attempt(event, e, hook.Attempt{N: 1, State: hook.Failed, Status: 500})
	w.as("api2cart", w.key([]string{"acme"}, hook.ScopeManage), func(_ dialect.Control, by dialect.Caller, a dialect.Account) {
		page, err := by.Log(t.Context(), dialect.LogQuery{Size: 10}, func(e *dialect.LogEntry) { t.Errorf("%s", e.Event.Type) })
		must(t, err)
		own, err := a.Log(t.Context(), dialect.LogQuery{Size: 10})
		must(t, err)
		if page.Total != 0 || own.Total != 0 {
			t.Errorf("%d and %d", page.Total, own.Total)
		}
	})
}
