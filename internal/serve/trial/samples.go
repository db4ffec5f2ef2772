package trial

import (
	"encoding/json"
	"strings"

	"grapnel/client"
	"grapnel/internal/dialect"
)

// samples are the events that a trial sends.
var samples = []client.Event{
	{Type: "user.created", Data: json.RawMessage(`{"id":1,"name":"Ada Lovelace","email":"ada@example.com"}`)},
	{Type: "invoice.paid", Data: json.RawMessage(`{"id":"inv_2041","amount":129.50,"currency":"EUR"}`)},
	{Type: "report.ready", Data: json.RawMessage(`{"id":"rep_7","pages":12}`)},
}

// moreSamples are events besides the one in a vendor's file, by dialect family:
// enough for three, where there are as many event types.
var moreSamples = map[string][]client.Event{
	"customers1st": {
		{Type: "salesorder.created", Data: json.RawMessage(`{"id":2041,"total":129.50,"currency":"DKK"}`), Metadata: json.RawMessage(`{"initiator":"pos"}`)},
		{Type: "product.updated", Data: json.RawMessage(`{"id":7,"title":"Sæbe","price":12.00}`)},
	},
	"propstack": {
		{Type: "property_created", Data: json.RawMessage(`{"id":2041,"street":"Hauptstraße","price":350000}`)},
		{Type: "task_created", Data: json.RawMessage(`{"id":7,"title":"Call back"}`)},
	},
	"smake": {
		{Type: "variant.designed", Data: json.RawMessage(`{"id":2041,"origin":"T-Shirt"}`)},
		{Type: "logo.completed", Data: json.RawMessage(`{"id":7,"name":"Logo"}`)},
	},
	"sixpark": {
		{Type: "ACCOUNT_ONBOARDED", Data: json.RawMessage(`{"account":{"id":"2041","url":"https://api.example.com/api/v1/accounts/2041"}}`)},
	},
	"api2cart": {
		{Type: "order.add", Data: json.RawMessage(`{"id":2041,"total":{"total":129.5,"currency":"EUR"}}`), Metadata: json.RawMessage(`{"store_id":"1"}`)},
		{Type: "customer.update", Data: json.RawMessage(`{"id":7,"email":"ada@example.com"}`), Metadata: json.RawMessage(`{"store_id":"1"}`)},
	},
}

// Samples are events that fit a contract. There is at least one.
func Samples(d *dialect.Dialect) []client.Event {
	if s := d.Sample(); s != nil {
		first := client.Event{Type: s.Type, Data: s.Data, Metadata: s.Metadata, Previous: s.Previous}
		return append([]client.Event{first}, moreSamples[d.Family()]...)
	}
	var out []client.Event
	for _, name := range d.Catalogue() {
		if len(out) < len(samples) && !strings.HasSuffix(name, "*") {
			e := samples[len(out)]
			e.Type = name
			out = append(out, e)
		}
	}
	if out == nil {
		return samples
	}
	return out
}
