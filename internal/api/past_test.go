package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What a customer can make the server keep of an endpoint's earlier fields is
// bounded, in bytes as in number, and beyond that a change is refused rather
// than forgotten: bodies of earlier events are made with what was then.
func TestTwoThousandChangesOfFieldsStayBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		count, length int
		at            int // changes that there is room for, at least
	}{
		{"many large fields", 200, 250, 4},
		{"one short field", 1, 10, 900},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, withVendors(t))
			key := b.key(`{"tenant":"acme","scopes":["manage"]}`)
			path := "/v1/tenants/acme/endpoints/" + b.want(http.StatusCreated, "POST", "/v1/tenants/acme/endpoints",
				`{"url":"https://a.example/","dialect":"api2cart","event_types":["product.add"]}`, as(key)).text("id")
			made, last := 0, &answer{}
			for i := range 2000 {
				fields := make([]string, c.count)
				for k := range fields {
					fields[k] = fmt.Sprintf("f%d_%d%s", i, k, strings.Repeat("x", c.length-10))
				}
				text, err := json.Marshal(map[string]any{"fields": fields})
				must(t, err)
				if last = b.do("PATCH", path, string(text), as(key)); last.status == http.StatusOK {
					made++
				}
			}
			if last.status != http.StatusConflict || made < c.at || made > 1000 {
				t.Errorf("%d changes were made, the last was answered %d %s", made, last.status, last.body)
			}
			if !strings.Contains(last.body, "changed too often") {
				t.Errorf("%s", last.body)
			}
			e := b.dir.Endpoints("acme")[0]
			size := 0
			for _, p := range e.PastFields {
				for _, f := range p.Value {
					size += len(f)
				}
			}
			if len(e.PastFields) != made || size > 256<<10 {
				t.Errorf("%d values of %d bytes are kept of %d changes", len(e.PastFields), size, made)
			}
			// All else can still be changed.
			b.want(http.StatusOK, "PATCH", path, `{"description":"full"}`, as(key))
			b.want(http.StatusNoContent, "DELETE", path, "", as(key))
		})
	}
}
