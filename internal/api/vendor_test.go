package api_test

import (
	"net/http"
	"strings"
	"testing"

	"grapnel/internal/api"
	"grapnel/internal/dialect/all"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
)

// withVendors lets an API know all contracts.
func withVendors(t *testing.T) func(*api.Config) {
	t.Helper()
	r, err := all.Registry()
	must(t, err)
	return func(c *api.Config) {
		ring, err := keyring.Open(keyring.Source{Env: keyring.NewKey()})
		must(t, err)
		c.Dialects = r
		c.Manager, err = manage.New(manage.Config{
			Store: c.Manager.Store, Deliveries: c.Manager.Deliveries, Directory: c.Directory, Dialects: r, Ring: ring, Logger: c.Logger, CheckURL: c.Manager.CheckURL,
		})
		must(t, err)
	}
}

func TestWhatContractsKnowOfAnEndpoint(t *testing.T) {
	t.Parallel()
	b := setup(t, withVendors(t))
	const endpoints = "/v1/tenants/acme/endpoints"
	key := b.key(`{"tenant":"acme","scopes":["manage"]}`)
	made := b.want(http.StatusCreated, "POST", endpoints, `{"url":"https://a.example/","dialect":"api2cart","event_types":["product.add"],"fields":["id","name"],"settings":{"store_id":"2"}}`, as(key))
	if got := made.json(); got["vendor_id"] != "1" || len(got["fields"].([]any)) != 2 || got["settings"].(map[string]any)["store_id"] != "2" || got["secret"] != nil {
		t.Errorf("%s", made.body)
	}
	path := endpoints + "/" + made.text("id")
	read := b.want(http.StatusOK, "GET", path, "", as(key)).body
	if again := b.want(http.StatusOK, "PUT", path, read, as(key)); strings.Contains(again.body, `"vendor_id":null`) { // what was read can be sent back
		t.Errorf("%s", again.body)
	}
	changed := b.want(http.StatusOK, "PATCH", path, `{"fields":null,"settings":null}`, as(key))
	if got := changed.json(); len(got["fields"].([]any)) != 0 || len(got["settings"].(map[string]any)) != 0 || got["vendor_id"] != "1" {
		t.Errorf("%s", changed.body)
	}
	b.want(http.StatusBadRequest, "PATCH", path, `{"vendor_id":"7"}`)

	const given = `{"url":"https://a.example/","dialect":"api2cart","event_types":["product.add"],"vendor_id":"500"}`
	b.want(http.StatusForbidden, "POST", endpoints, given, as(key)) // whoever can choose it could take another's
	b.want(http.StatusForbidden, "PUT", endpoints+"/own", given, as(key))
	if a := b.want(http.StatusCreated, "PUT", endpoints+"/own", given); a.text("vendor_id") != "500" {
		t.Errorf("%s", a.body)
	}
	b.want(http.StatusOK, "PUT", endpoints+"/own", given, as(key))
	b.want(http.StatusConflict, "POST", endpoints, given)
	for _, c := range []struct{ body, pointer string }{
		{`{"url":"https://a.example/","dialect":"api2cart","event_types":["no.such"]}`, "/event_types/0"},
		{`{"url":"https://a.example/","dialect":"api2cart","event_types":["product.add","product.update"]}`, "/event_types"},
		{`{"url":"https://a.example/","dialect":"propstack","event_types":["client_created"],"fields":["id"]}`, "/fields"},
		{`{"url":"https://a.example/","dialect":"customers1st","event_types":["product.created"],"secret":"x"}`, "/secret"},
		{`{"url":"https://a.example/","vendor_id":"7"}`, "/vendor_id"},
	} {
		if a := b.want(http.StatusUnprocessableEntity, "POST", endpoints, c.body); a.pointer() != c.pointer {
			t.Errorf("%s: %s", c.body, a.body)
		}
	}
	if a := b.want(http.StatusCreated, "POST", endpoints, `{"url":"https://a.example/"}`); a.json()["vendor_id"] != nil {
		t.Errorf("%s", a.body)
	}
}
