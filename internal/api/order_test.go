package api_test

import (
	"net/http"
	"strings"
	"testing"

	"grapnel/internal/hook"
	"grapnel/internal/why"
)

// behindTheFirst lets every delivery of an event with a key wait for another one.
type behindTheFirst struct{}

func (behindTheFirst) WaitsFor(key hook.DeliveryKey, orderingKey string) (hook.DeliveryKey, bool) {
	return hook.DeliveryKey{Event: hook.EventIDFrom(1, 0), Endpoint: key.Endpoint}, orderingKey == "k"
}

func (behindTheFirst) Look(hook.DeliveryKey) why.Place { return why.Place{Here: true} }

// A delivery that waits for its turn names the one that it waits for.
func TestDeliveryInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.endpoint("acme", `{"url":"https://example.com/","event_types":["a"],"ordering":"key"}`)
	b.endpoint("acme", `{"url":"https://example.com/","event_types":["b"]}`)
	for body, waits := range map[string]bool{
		`{"type":"a","data":1,"ordering_key":"k"}`: true,
		`{"type":"a","data":1,"ordering_key":"l"}`: false,
		`{"type":"a","data":1}`:                    false,
		`{"type":"b","data":1,"ordering_key":"k"}`: false,
	} {
		event := b.publish("acme", body)
		if got := b.want(http.StatusOK, "GET", acmeEvents+"/"+event, ""); strings.Contains(body, "ordering_key") != strings.Contains(got.body, `"ordering_key":"`) {
			t.Error(got.body)
		}
		got := b.want(http.StatusOK, "GET", acmeDeliveries+"/"+b.deliveryOf(event), "")
		if strings.Contains(got.body, `"waits_for":"dlv_`) != waits {
			t.Errorf("%s: %s", body, got.body)
		}
	}
}
