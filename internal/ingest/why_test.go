package ingest_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

// What is said of an endpoint is what publishing did.
func TestWhyAgreesWithPublishing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	num := hook.EndpointNum(100)
	rapid.Check(t, func(rt *rapid.T) {
		num++
		e := ep(num, 2, rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"invoice.*", "client_updated", "grapnel.endpoint.disabled"}), 0, 2, rapid.ID).Draw(rt, "types")...)
		e.Dialect = rapid.SampledFrom([]string{"standard", "propstack", "api2cart"}).Draw(rt, "dialect")
		e.Settings = map[string]string{"store_id": rapid.SampledFrom([]string{"", "1", "2"}).Draw(rt, "store")}
		if rapid.Bool().Draw(rt, "filtered") {
			e.Filter = fmt.Appendf(nil, `{"field":"data.n","operator":"eq","value":%d}`, rapid.IntRange(0, 1).Draw(rt, "n"))
		}
		b.put(t, e)
		it := item("bolt", "", rapid.SampledFrom([]string{"invoice.paid", "client_deleted", "grapnel.endpoint.disabled", "x"}).Draw(rt, "type"), `{"n":1}`)
		it.Metadata = []byte(rapid.SampledFrom([]string{`{}`, `{"store_id":"2"}`}).Draw(rt, "metadata"))
		b.publish(t, submission("", it))
		event := b.journal.events[len(b.journal.events)-1]
		_, meant := event.Target(num)
		why := b.Why(event, e)
		if (why == ingest.Mismatch{}) != meant || (why.Text == "") != meant {
			rt.Fatalf("%+v of %s with %s: meant %v, %+v", e, event.Type, event.Metadata, meant, why)
		}
	})
}
