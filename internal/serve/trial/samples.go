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

// vendorSamples are events as the vendors' documents have them, by dialect
// family: three each, where there are as many event types.
var vendorSamples = map[string][]client.Event{
	"customers1st": {
		{Type: "customer.created", Data: json.RawMessage(`{"id":4711,"name":"Ada Lovelace","email":"ada@example.com"}`)},
		{Type: "salesorder.created", Data: json.RawMessage(`{"id":2041,"total":129.50,"currency":"DKK"}`), Metadata: json.RawMessage(`{"initiator":"pos"}`)},
		{Type: "product.updated", Data: json.RawMessage(`{"id":7,"title":"Sæbe","price":12.00}`)},
	},
	"propstack": {
		{Type: "client_updated", Data: json.RawMessage(`{"id":4711,"first_name":"Ada","last_name":"Lovelace"}`), Previous: json.RawMessage(`{"id":4711,"first_name":"Ada","last_name":"Byron"}`)},
		{Type: "property_created", Data: json.RawMessage(`{"id":2041,"street":"Hauptstraße","price":350000}`)},
		{Type: "task_created", Data: json.RawMessage(`{"id":7,"title":"Call back"}`)},
	},
	"smake": {
		{Type: "order.shipped", Data: json.RawMessage(`{"id":4711,"number":"A-4711","state":"shipped"}`)},
		{Type: "variant.designed", Data: json.RawMessage(`{"id":2041,"origin":"T-Shirt"}`)},
		{Type: "logo.completed", Data: json.RawMessage(`{"id":7,"name":"Logo"}`)},
	},
	"sixpark": {
		{Type: "ACCOUNT_OPENED", Data: json.RawMessage(`{"account":{"id":"4711","url":"https://api.example.com/api/v1/accounts/4711"}}`)},
		{Type: "ACCOUNT_ONBOARDED", Data: json.RawMessage(`{"account":{"id":"2041","url":"https://api.example.com/api/v1/accounts/2041"}}`)},
	},
	"api2cart": {
		{Type: "product.add", Data: json.RawMessage(`{"id":4711,"name":"T-Shirt","price":12.5,"variants":[{"id":1,"sku":"T-1"}]}`), Metadata: json.RawMessage(`{"store_id":"1"}`)},
		{Type: "order.add", Data: json.RawMessage(`{"id":2041,"total":{"total":129.5,"currency":"EUR"}}`), Metadata: json.RawMessage(`{"store_id":"1"}`)},
		{Type: "customer.update", Data: json.RawMessage(`{"id":7,"email":"ada@example.com"}`), Metadata: json.RawMessage(`{"store_id":"1"}`)},
	},
}

// Samples are events that fit a contract. There is at least one.
func Samples(d *dialect.Dialect) []client.Event {
	if own := vendorSamples[d.Family()]; own != nil {
		return own
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
