package smake_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"grapnel/client"
	"grapnel/internal/vendortest"
)

// The payload has the version that the app had when the event occurred, on every
// attempt and when it is sent again (SM-V1).
func TestSMV1PayloadKeepsTheVersionOfItsEvent(t *testing.T) {
	t.Parallel()
	srv := vendortest.Start(t)
	types := `{"versions": [
		{"version": "2021-02-23", "convert": "{id, file: .artwork.url}"},
		{"version": "2017-09-25", "convert": "{variant: .}"}]}`
	if a := srv.Do("PUT", "/v1/event-types/variant.designed", []string{"Authorization: Bearer " + srv.Admin, "Content-Type: application/json"}, types); a.Status >= 300 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	tenant := func(version string) {
		if _, err := srv.PutTenant(t.Context(), "acme", client.TenantInput{Dialect: client.Set("smake"), APIVersion: client.Set(version)}); err != nil {
			t.Error(err)
		}
	}
	tenant("2017-09-25")
	var attempts atomic.Int32
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if attempts.Add(1) == 1 { // the app changes its version before the retry
			tenant("2021-02-23")
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(receiver.Close)
	tap := vendortest.NewTap(t, receiver.URL)
	srv.MakeEndpoint("acme", client.EndpointInput{
		URL: client.Set(tap.URL), EventTypes: client.Set([]string{"variant.designed"}), Schedule: client.Set([]client.Duration{client.Duration(1e7)}),
	})
	event := client.Event{Type: "variant.designed", Data: []byte(`{"id": 7, "artwork": {"url": "https://x/a.svg"}}`)}
	old := srv.Send("acme", event, 1)
	wantData := func(s vendortest.Seen, want string) {
		t.Helper()
		if !strings.Contains(string(s.Body), `"data":`+want+`,`) {
			t.Errorf("the body is %s, want the data %s", s.Body, want)
		}
	}
	const in2017, in2021 = `{"variant":{"file":"https:\/\/x\/a.svg","id":7}}`, `{"file":"https:\/\/x\/a.svg","id":7}`
	seen := tap.Wait(2)
	wantData(seen[0], in2017)
	if string(seen[0].Body) != string(seen[1].Body) {
		t.Errorf("the retry has another body:\n%s\n%s", seen[0].Body, seen[1].Body)
	}

	now := srv.Send("acme", event, 1) // an event of now has the version of now
	wantData(tap.Wait(3)[2], in2021)

	tenant("") // the newest
	for d, err := range srv.Deliveries(t.Context(), "acme", client.DeliveryFilter{Event: old.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := srv.Redeliver(t.Context(), "acme", d.ID); err != nil {
			t.Fatal(err)
		}
	}
	if again := tap.Wait(4)[3]; string(again.Body) != string(seen[0].Body) {
		t.Errorf("sent again it has another body:\n%s\n%s", seen[0].Body, again.Body)
	}
	if _, err := srv.CreateReplay(t.Context(), "acme", client.ReplayFilter{Types: []string{"variant.designed"}, States: []string{client.Delivered}}); err != nil {
		t.Fatal(err)
	}
	replayed := map[string]int{}
	for _, s := range tap.Wait(6)[4:] {
		for id, want := range map[string]vendortest.Seen{old.ID: seen[0], now.ID: tap.Wait(3)[2]} {
			if strings.Contains(string(s.Body), `"id":"`+id+`"`) {
				replayed[id]++
				if string(s.Body) != string(want.Body) {
					t.Errorf("a replay has the body\n%s\nwant\n%s", s.Body, want.Body)
				}
			}
		}
	}
	if replayed[old.ID] != 1 || replayed[now.ID] != 1 {
		t.Errorf("replayed are %v, want each event once", replayed)
	}
}

// Neither the version of a request nor that of a webhook changes the payload.
func TestSMV1ARequestsVersionChangesNothing(t *testing.T) {
	t.Parallel()
	srv := vendortest.Start(t)
	srv.MakeTenant("acme", "smake")
	tap := vendortest.NewTap(t, "")
	a := srv.Do("POST", "/v2/apps/acme/webhooks", append(headers(srv.MakeKey("acme")), "X-Api-Version: 2022-02-01"),
		fmt.Sprintf(`{"url": %q, "version": "2021-02-23", "events": [{"name": "order.completed"}]}`, tap.URL))
	if a.Status != http.StatusCreated {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	srv.Send("acme", client.Event{Type: "order.completed", Data: []byte(`{"id":1}`)}, 1)
	if body := string(tap.Wait(1)[0].Body); !strings.Contains(body, `"data":{"id":1}`) {
		t.Errorf("the body is %s", body)
	}
}
