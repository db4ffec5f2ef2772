package vendortest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
	"grapnel/internal/serve/trial"
	"grapnel/internal/vendortest"
)

// moved is how a vendor's accounts come over, and what their clients call then.
type moved struct {
	vendor string
	owner  bool // the secret is the tenant's
	// id is what the nth hook of all is called.
	id func(n int) string
	// types are the events of the nth hook of a tenant.
	types func(n int) []string
	// list asks for all hooks of a tenant; "": the vendor has no such call.
	list string
	// The calls for one hook. {key}, {secret} (of the tenant), {tenant}, {id} and
	// {url} stand for what belongs there. want is found in the answer.
	get, update, gone, remove call
}

// call is a request of a client's, and what the answer is.
type call struct {
	method, path, header, body string
	status                     int
	want                       string
}

var movers = []moved{
	{
		vendor: "customers1st", owner: true, id: strconv.Itoa, types: turns("customer.created", "product.updated", "salesorder.created"),
		list:   "/api/hooks?paginationPageLength=250",
		get:    call{"GET", "/api/hooks/{id}", "Authorization: Bearer {key}", "", 200, `"id":{id},`},
		update: call{"PUT", "/api/hooks/{id}", "Authorization: Bearer {key}", `{"event":"product.created","url":"{url}/new"}`, 200, `{"updated":1}`},
		remove: call{"DELETE", "/api/hooks/{id}", "Authorization: Bearer {key}", "", 200, `{"deleted":1}`},
		gone:   call{"DELETE", "/api/hooks/{id}", "Authorization: Bearer {key}", "", 200, `{"deleted":0}`},
	},
	{
		vendor: "propstack", id: strconv.Itoa, types: turns("client_created", "property_updated", "task_deleted"),
		list:   "/v1/hooks",
		remove: call{"DELETE", "/v1/hooks/{id}", "X-API-KEY: {key}", "", 200, `{"ok":true}`},
		gone:   call{"DELETE", "/v1/hooks/{id}", "X-API-KEY: {key}", "", 404, `id={id}`},
	},
	{
		vendor: "smake", id: strconv.Itoa,
		types:  turns("order.shipped", "order.cancelled", "order.completed", "shipping-rate.calculated", "variant.designed", "id-tag.updated", "order.prepared", "order.failed", "variant.completed", "variant.failed"),
		list:   "/v2/apps/{tenant}/webhooks?per_page=100",
		get:    call{"GET", "/v2/apps/{tenant}/webhooks/{id}", "Authorization: Bearer {key}", "", 200, `"url":"{url}"`},
		update: call{"PUT", "/v2/apps/{tenant}/webhooks/{id}", "Authorization: Bearer {key}", `{"url":"{url}/new"}`, 200, `{url}/new`},
		remove: call{"DELETE", "/v2/apps/{tenant}/webhooks/{id}", "Authorization: Bearer {key}", "", 204, ""},
		gone:   call{"GET", "/v2/apps/{tenant}/webhooks/{id}", "Authorization: Bearer {key}", "", 404, ""},
	},
	{
		vendor: "sixpark", id: func(n int) string { return fmt.Sprintf("3f2504e0-4f89-41d3-9a0c-%012x", n) }, types: func(int) []string { return nil },
		get:    call{"GET", "/api/v1/webhooks/{id}", "Authorization: Bearer {key}", "", 200, `secret of {id}`},
		remove: call{"DELETE", "/api/v1/webhooks/{id}", "Authorization: Bearer {key}", "", 204, ""},
		gone:   call{"GET", "/api/v1/webhook/{id}", "Authorization: Bearer {key}", "", 404, ""},
	},
	{
		vendor: "api2cart", owner: true, id: strconv.Itoa, types: turns("product.add", "order.update", "customer.delete"),
		list:   "/v1.1/webhook.list.json?api_key={key}&store_key={secret}&count=100&params=force_all",
		get:    call{"GET", "/v1.1/webhook.list.json?api_key={key}&store_key={secret}&ids={id}&params=force_all", "", "", 200, `{url}`},
		update: call{"GET", "/v1.0/webhook.update.json?api_key={key}&store_key={secret}&id={id}&callback={url}/new", "", "", 200, `"updated"`},
		remove: call{"DELETE", "/v1.1/webhook.delete.json?api_key={key}&store_key={secret}&id={id}", "", "", 200, `"deleted"`},
		gone:   call{"GET", "/v1.1/webhook.list.json?api_key={key}&store_key={secret}&ids={id}", "", "", 200, `"webhook":[]`},
	},
}

// turns gives the events one after the other, one to each hook.
func turns(types ...string) func(int) []string {
	return func(n int) []string { return types[n%len(types) : n%len(types)+1] }
}

// Must show 6: 10,000 hooks of each vendor come over, and their old clients'
// calls work by the old ids, keys and secrets; what is imported again is
// unchanged.
func TestMovingIn(t *testing.T) {
	t.Parallel()
	const tenants = 100
	perTenant := 100
	if testing.Short() {
		perTenant = 10
	}
	registry, err := serve.Dialects()
	if err != nil {
		t.Fatal(err)
	}
	s := vendortest.Start(t)
	for _, m := range movers {
		t.Run(m.vendor, func(t *testing.T) {
			d, ok := registry.Get(m.vendor)
			if !ok {
				t.Skip("this vendor has no room yet")
			}
			receiver := newReceiver(t)
			records := m.records(tenants, perTenant, receiver.URL)
			if created := importAll(t, s, records); created != len(records) {
				t.Fatalf("%d of %d records are new", created, len(records))
			}
			if created := importAll(t, s, records); created != 0 {
				t.Fatalf("%d records are new the second time", created)
			}
			for tenant := range tenants {
				m.client(t, s, tenant, perTenant)
			}
			m.delivers(t, s, d, receiver)
		})
	}
}

func (m *moved) tenant(n int) string { return fmt.Sprintf("%s-%d", m.vendor, n) }

// key of the nth tenant. API2Cart's is one for all stores of an account.
func (m *moved) key(tenant int) string {
	if m.vendor == "api2cart" {
		tenant = 0
	}
	return fmt.Sprintf("old key of %s %d", m.vendor, tenant)
}

func (m *moved) url(tenant, n int) string {
	return fmt.Sprintf("https://example.com/%s/%d/%d", m.vendor, tenant, n)
}

// records are all that comes over. The first hook's URL is the receiver's.
func (m *moved) records(tenants, perTenant int, receiver string) (out []client.ImportRecord) {
	for tenant := range tenants {
		t := client.ImportRecord{Kind: client.KindTenant, Tenant: m.tenant(tenant), Dialect: m.vendor}
		if m.owner {
			t.Secret = "secret of " + m.tenant(tenant)
		}
		out = append(out, t)
		switch {
		case m.vendor != "api2cart":
			out = append(out, client.ImportRecord{Kind: client.KindKey, Tenant: m.tenant(tenant), Key: m.key(tenant)})
		case tenant == 0:
			out = append(out, client.ImportRecord{Kind: client.KindKey, Tenants: []string{"*"}, Key: m.key(tenant)})
		}
		for n := range perTenant {
			h := client.ImportRecord{Tenant: m.tenant(tenant), VendorID: m.id(1 + tenant*perTenant + n), URL: m.url(tenant, n), EventTypes: m.types(n), Description: "moved"}
			if tenant == 0 && n == 0 {
				h.URL = receiver
			}
			if !m.owner {
				h.Secret = "secret of " + h.VendorID
			}
			if n%10 == 9 {
				h.State = "inactive"
			}
			out = append(out, h)
		}
	}
	return out
}

// importAll imports records, none of which may be refused, and tells how many
// are not there just so already.
func importAll(t *testing.T, s *vendortest.Server, records []client.ImportRecord) (created int) {
	t.Helper()
	for len(records) > 0 {
		n := min(len(records), client.MaxImport)
		report, err := s.Import(t.Context(), records[:n])
		if err != nil {
			t.Fatal(err)
		}
		if report.Refused > 0 || report.Updated > 0 {
			for i, r := range report.Results {
				if r.Outcome == client.ImportRefused || r.Outcome == client.ImportUpdated {
					t.Fatalf("%d of %d are refused and %d updated; the first is %+v of %+v", report.Refused, n, report.Updated, r, records[i])
				}
			}
		}
		created += report.Created
		records = records[n:]
	}
	return created
}

// client does what an old client of a tenant does: lists all hooks, and looks
// at, changes and deletes some of them by the ids that it knows.
func (m *moved) client(t *testing.T, s *vendortest.Server, tenant, perTenant int) {
	t.Helper()
	if m.list != "" {
		c := call{method: "GET", path: m.list, header: m.remove.header, status: 200}
		text := strings.ReplaceAll(m.do(t, s, c, tenant, 0, perTenant), `\/`, "/")
		for n := range perTenant {
			if u := m.url(tenant, n); (tenant > 0 || n > 0) && !strings.Contains(text, `"`+u+`"`) {
				t.Fatalf("%s is not in the list of %s: %s", u, m.tenant(tenant), text)
			}
			if !strings.Contains(text, m.id(1+tenant*perTenant+n)) {
				t.Fatalf("the id %s is not in the list of %s", m.id(1+tenant*perTenant+n), m.tenant(tenant))
			}
		}
	}
	if tenant%5 != 0 && m.get.method != "" { // each change is on stable storage before it is answered
		m.do(t, s, m.get, tenant, perTenant/2, perTenant)
		return
	}
	for _, n := range []int{1, perTenant - 1} {
		for _, c := range []call{m.get, m.update, m.remove, m.gone} {
			if c.method != "" {
				m.do(t, s, c, tenant, n, perTenant)
			}
		}
	}
}

func (m *moved) do(t *testing.T, s *vendortest.Server, c call, tenant, n, perTenant int) string {
	t.Helper()
	id := m.id(1 + tenant*perTenant + n)
	fill := strings.NewReplacer("{key}", m.key(tenant), "{secret}", "secret of "+m.tenant(tenant), "{tenant}", m.tenant(tenant), "{id}", id, "{url}", m.url(tenant, n))
	inURL := strings.NewReplacer("{key}", url.QueryEscape(m.key(tenant)), "{secret}", url.QueryEscape("secret of "+m.tenant(tenant)), "{tenant}", m.tenant(tenant), "{id}", id, "{url}", url.QueryEscape(m.url(tenant, n)))
	header := []string{"Accept: application/json"}
	if c.header != "" {
		header = append(header, fill.Replace(c.header))
	}
	if c.body != "" {
		header = append(header, "Content-Type: application/json")
	}
	a := s.Do(c.method, inURL.Replace(c.path), header, fill.Replace(c.body))
	text := strings.ReplaceAll(a.Body, `\/`, "/")
	if a.Status != c.status || !strings.Contains(text, fill.Replace(c.want)) {
		t.Fatalf("%s %s: %d %s, want %d with %s", c.method, inURL.Replace(c.path), a.Status, a.Body, c.status, fill.Replace(c.want))
	}
	return text
}

// receiver keeps the first request that it gets.
type receiver struct {
	*httptest.Server
	got chan dialect.Received
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{got: make(chan dialect.Received, 1)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		select {
		case r.got <- dialect.Received{Method: q.Method, URL: "http://" + q.Host + q.URL.RequestURI(), Header: q.Header, Body: body, At: time.Now(), Tolerance: time.Minute}:
		default:
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// delivers publishes an event for the first hook, whose receiver verifies it with
// the old secret.
func (m *moved) delivers(t *testing.T, s *vendortest.Server, d *dialect.Dialect, r *receiver) {
	t.Helper()
	e := trial.Samples(d)[0]
	if types := m.types(0); types != nil {
		e.Type = types[0]
	}
	if _, err := s.Publish(t.Context(), m.tenant(0), e); err != nil {
		t.Fatal(err)
	}
	var got dialect.Received
	select {
	case got = <-r.got:
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
	}
	secret := "secret of " + m.id(1)
	if m.owner {
		secret = "secret of " + m.tenant(0)
	}
	key, err := d.VerifyKey(hook.Secret(secret))
	if err != nil {
		t.Fatal(err)
	}
	got.Keys = []dialect.VerifyKey{key}
	if err := d.Verify(got); err != nil {
		t.Errorf("the old secret does not verify: %v", err)
	}
}
