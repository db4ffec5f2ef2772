package dialect_test

import (
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// What the header of one attempt costs in each contract, over a body of 1 kB.
func BenchmarkHeaderOf(b *testing.B) {
	for _, d := range everyDialect(b) {
		secret := hook.Secret("ed58a22dfecb405a50ea3ea56979360d")
		if d.Name() == "standard" {
			secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
		}
		if e := d.SecretEncoding(); e != "" {
			secret = hook.Secret(e.Append(nil, []byte(secret)))
		}
		key, err := d.Key(secret)
		if err != nil {
			b.Fatal(err)
		}
		r := dialect.Request{
			Event: &hook.Event{Type: "product.update"}, Endpoint: &hook.Endpoint{VendorID: "42"}, Tenant: &hook.Tenant{}, Method: d.Method(),
			URL: "https://receiver.example/", Body: []byte(`{"text":"` + strings.Repeat("x", 1000) + `"}`), At: time.Unix(1700000000, 0), N: 1, Keys: []dialect.Key{key},
		}
		b.Run(d.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := r
				r.URL = d.URL(r)
				if _, err := d.Header(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
