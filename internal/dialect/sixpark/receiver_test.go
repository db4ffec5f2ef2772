package sixpark_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/vendortest"
)

// corpus are accounts whose ids and addresses are what breaks careless senders
// and receivers.
func corpus() []string {
	out := []string{account, `{"account":{"id":-1.50,"url":"https:\/\/example.com\/a?b=<c>&d='e'"}}`, `{"account":{"id":"😀 \ud83d\ude00 \/ \" \\","url":""}}`}
	for _, data := range vendortest.Data() {
		out = append(out, `{"account":{"id":`+asText(data)+`,"url":"https://example.com/ü/日本語"}}`)
	}
	return out
}

// Receivers by the words of the vendor's page take all of the corpus, and
// nothing that was changed.
func TestSPS1ReceiversTakeAll(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(secret string) string{
		"PHP":        func(secret string) string { return vendortest.PHP(t, "testdata/receiver.php", secret) },
		"JavaScript": func(secret string) string { return vendortest.Node(t, "testdata/receiver.mjs", secret) },
	} {
		t.Run("SP-S1 SP-S2 SP-S3 SP-S4 "+name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.Start(t, func(c *config.Config) { c.MaxEventSize = 2 << 20 })
			srv.MakeTenant("acme", "sixpark")
			tap := vendortest.NewTap(t, start(token))
			srv.MakeEndpoint("acme", client.EndpointInput{URL: client.Set(tap.URL + "/webhooks"), Secret: client.Set(token)})
			data := corpus()
			for _, d := range data {
				srv.Send("acme", client.Event{Type: "ACCOUNT_OPENED", Data: []byte(d)}, 1)
			}
			seen := tap.Wait(len(data))
			for i, s := range seen {
				if s.Status != 200 {
					t.Errorf("delivery %d was answered %d", i, s.Status)
				}
				if s.Get("X-SixPark-Signature") == "" || !strings.HasSuffix(s.Line, " HTTP/1.1") { // the exact case
					t.Errorf("delivery %d: %s %q", i, s.Line, s.Header)
				}
			}
			t.Logf("%d deliveries were taken, %d changed ones refused", len(seen), tap.Tamper(seen, "x-sixpark-signature"))
			vendortest.NoneTaken(t, seen, start(token+"0"))
		})
	}
}

// A webhook gets every event of its owner, and each webhook its own body.
func TestSPD5AllEventsGoToEachWebhook(t *testing.T) {
	t.Parallel()
	srv := vendortest.Start(t)
	srv.MakeTenant("acme", "sixpark")
	key := srv.MakeKey("acme")
	var taps []*vendortest.Tap
	var ids []string
	for range 2 {
		tap := vendortest.NewTap(t, "")
		taps = append(taps, tap)
		made := create(t, srv, key, tap.URL, "one")
		ids = append(ids, made.Data.ID)
	}
	types := []string{"ACCOUNT_OPENED", "ACCOUNT_ONBOARDED", "account.closed"}
	for _, eventType := range types {
		srv.Send("acme", client.Event{Type: eventType, Data: []byte(account)}, 2)
	}
	for i, tap := range taps {
		bodies := ""
		for _, s := range tap.Wait(len(types)) {
			bodies += string(s.Body)
		}
		for _, eventType := range types {
			if !strings.Contains(bodies, fmt.Sprintf(`"even_type":%q`, eventType)) {
				t.Errorf("webhook %d did not get %s", i, eventType)
			}
		}
		if strings.Count(bodies, srv.URL+"/api/v1/webhooks/"+ids[i]) != len(types) {
			t.Errorf("webhook %d is not named in its bodies: %s", i, bodies)
		}
	}
}

func TestSPD6AMissingAccountHoldsTheDelivery(t *testing.T) {
	t.Parallel()
	srv := vendortest.Start(t)
	srv.MakeTenant("acme", "sixpark")
	tap := vendortest.NewTap(t, "")
	srv.MakeEndpoint("acme", client.EndpointInput{URL: client.Set(tap.URL)})
	without := srv.Send("acme", client.Event{Type: "ACCOUNT_OPENED", Data: []byte(`{"id":1}`)}, 1)
	srv.Send("acme", client.Event{Type: "ACCOUNT_OPENED", Data: []byte(account)}, 1)
	tap.Wait(1) // the next one is not held up
	held := 0
	for d, err := range srv.Deliveries(t.Context(), "acme", client.DeliveryFilter{Event: without.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		if d.State != client.Held || !strings.Contains(d.Reason, "account.id") {
			t.Errorf("the delivery is %s because of %q", d.State, d.Reason)
		}
		held++
	}
	if held != 1 {
		t.Errorf("the event has %d deliveries, want 1", held)
	}
}

// Each webhook has a body of its own for an event, and every attempt has the
// same bytes: a retry, and one by hand after the webhook changed.
func TestSPD6SameBytesOnEveryAttempt(t *testing.T) {
	t.Parallel()
	srv := vendortest.Start(t)
	srv.MakeTenant("acme", "sixpark")
	var taps []*vendortest.Tap
	var ids []string
	for range 2 {
		var attempts atomic.Int32
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if attempts.Add(1) == 1 {
				w.WriteHeader(http.StatusAccepted) // which is a failure
			}
		}))
		t.Cleanup(receiver.Close)
		tap := vendortest.NewTap(t, receiver.URL)
		e := srv.MakeEndpoint("acme", client.EndpointInput{URL: client.Set(tap.URL), Schedule: client.Set([]client.Duration{client.Duration(1e7)})})
		taps, ids = append(taps, tap), append(ids, e.ID)
	}
	event := srv.Send("acme", client.Event{Type: "ACCOUNT_OPENED", Data: []byte(account)}, 2)
	for _, tap := range taps {
		tap.Wait(2)
	}
	for _, id := range ids {
		if _, err := srv.UpdateEndpoint(t.Context(), "acme", id, client.EndpointInput{Description: client.Set("another")}); err != nil {
			t.Fatal(err)
		}
	}
	for d, err := range srv.Deliveries(t.Context(), "acme", client.DeliveryFilter{Event: event.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := srv.Redeliver(t.Context(), "acme", d.ID); err != nil {
			t.Fatal(err)
		}
	}
	var bodies []string
	for _, tap := range taps {
		seen := tap.Wait(3)
		for _, s := range seen {
			if string(s.Body) != string(seen[0].Body) || !strings.HasPrefix(string(s.Body), `{"data":{"id":"`+event.ID+`"`) {
				t.Errorf("an attempt has the body\n%s\nwant\n%s", s.Body, seen[0].Body)
			}
		}
		bodies = append(bodies, string(seen[0].Body))
	}
	if bodies[0] == bodies[1] {
		t.Errorf("both webhooks get %s", bodies[0])
	}
}
