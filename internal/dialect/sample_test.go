package dialect_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
)

func TestSample(t *testing.T) {
	t.Parallel()
	if s := load(t, base).Sample(); s != nil {
		t.Errorf("a file without a sample has %+v", s)
	}
	d := load(t, base+`
sample:
  type: thing_deleted
  data: {id: 12345678901234567890, price: 1.50, name: "{event.id}/Ä", tags: [a, null, true], none: {}}
  metadata: {store_id: "1"}
  previous: [1]
`)
	want := &dialect.Sample{
		Type: "thing_deleted", Data: []byte(`{"id":12345678901234567890,"price":1.50,"name":"{event.id}/Ä","tags":["a",null,true],"none":{}}`),
		Metadata: []byte(`{"store_id":"1"}`), Previous: []byte(`[1]`),
	}
	if diff := cmp.Diff(want, d.Sample()); diff != "" {
		t.Error(diff)
	}
}

// A sample that does not fit its contract is refused with the line.
func TestLoadRefusesSamples(t *testing.T) {
	t.Parallel()
	const body = `{json: {a: "{event.data.account.id}", b: "{tenant.setting.s}", c: "{endpoint.setting.s}", d: "{endpoint.vendor_id}", e: "{public_url}"}}`
	file := bodied(body, "ids: uuid", "catalogue: [thing_updated, shop.made]")
	if _, err := dialect.Load("acme.yaml", []byte(file+"sample: {type: thing_deleted, data: {account: {id: x}}}\n")); err != nil {
		t.Fatal(err)
	}
	for sample, want := range map[string]string{
		"{type: thing_updated, data: {}}":                              "the sample makes no body: the data has no member account.id",
		"{type: thing_updated, data: {account: {id: [1]}}}":            "",
		"{type: other, data: {account: {id: 1}}}":                      "the event other is not in the catalogue",
		"{type: grapnel.note, data: {account: {id: 1}}}":               "event of the server's own",
		"{type: a b, data: {account: {id: 1}}}":                        "event type",
		"{type: thing_updated}":                                        `lacks the key "data"`,
		"{data: 1}":                                                    `lacks the key "type"`,
		"{type: thing_updated, data: {account: {id: 1}}, metadata: 5}": "metadata must be a mapping",
		"{type: thing_updated, data: {account: {id: 1}}, datum: 5}":    `unknown key "datum"`,
		"{type: thing_updated, data: {account: {id: .inf}}}":           "a value of the JSON body must be",
		"[thing_updated]":                                              "sample must be a mapping",
	} {
		_, err := dialect.Load("acme.yaml", []byte(file+"sample: "+sample+"\n"))
		switch {
		case want == "":
			if err != nil {
				t.Errorf("%s: %v", sample, err)
			}
		case err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "acme.yaml:"):
			t.Errorf("%s: %v, want %q", sample, err, want)
		}
	}
}
