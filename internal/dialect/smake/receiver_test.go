package smake_test

import (
	"testing"

	"grapnel/client"
	"grapnel/internal/vendortest"
)

// The vendor's own snippet takes all of the corpus, and nothing that was
// changed.
func TestSMS1TheVendorsSnippetTakesAll(t *testing.T) {
	t.Parallel()
	const receiver = "testdata/laravel.php"
	tap := vendortest.NewTap(t, vendortest.PHP(t, receiver, token, "CONTROLLER=controller.php"))
	seen := deliver(t, tap, token, vendortest.Data()...)
	for i, s := range seen {
		if s.Status != 200 {
			t.Errorf("delivery %d was answered %d", i, s.Status)
		}
	}
	t.Logf("%d deliveries were taken, %d changed ones refused", len(seen), tap.Tamper(seen, "x-signature"))
	vendortest.NoneTaken(t, seen, vendortest.PHP(t, receiver, token+"x", "CONTROLLER=controller.php"))
}

// The other reading of the page: PHP decodes the body and writes it again. It
// comes to the same bytes, but for numbers that PHP itself does not keep.
func TestSMS3TheOtherReadingTakesAll(t *testing.T) {
	t.Parallel()
	tap := vendortest.NewTap(t, vendortest.PHP(t, "testdata/laravel.php", token, "CONTROLLER=again.php"))
	var data []string
	for _, d := range vendortest.Data() {
		if d != lossy {
			data = append(data, d)
		}
	}
	if len(data) == len(vendortest.Data()) {
		t.Error("the corpus has no number any more that PHP does not keep")
	}
	for i, s := range deliver(t, tap, token, data...) {
		if s.Status != 200 {
			t.Errorf("delivery %d was answered %d: %.200s", i, s.Status, s.Body)
		}
	}
}

// lossy has a price of 19.90, which PHP writes as 19.9.
const lossy = `{"id":"86","name":"test product","tags":[],"more":{},"price":19.90,"big":12345678901234567}`

func TestSMS2UnsignedWithoutAToken(t *testing.T) {
	t.Parallel()
	for _, s := range deliver(t, vendortest.NewTap(t, ""), "", `{"id":1}`) {
		if s.Has("X-Signature") {
			t.Errorf("the header is %q", s.Header)
		}
	}
}

func TestSMD3EachEndpointIsServedOnItsOwn(t *testing.T) {
	t.Parallel()
	srv := vendortest.Start(t)
	srv.MakeTenant("acme", "smake")
	first, second := vendortest.NewTap(t, ""), vendortest.NewTap(t, "")
	for _, url := range []string{first.URL, second.URL} {
		srv.MakeEndpoint("acme", client.EndpointInput{URL: client.Set(url), EventTypes: client.Set([]string{"variant.designed"})})
	}
	srv.Send("acme", client.Event{Type: "variant.designed", Data: []byte(`{"id":1}`)}, 2)
	if a, b := string(first.Wait(1)[0].Body), string(second.Wait(1)[0].Body); a != b {
		t.Errorf("the endpoints got\n%s\n%s", a, b)
	}
}

// deliver sends events to one endpoint and returns the requests.
func deliver(t *testing.T, tap *vendortest.Tap, token string, data ...string) []vendortest.Seen {
	t.Helper()
	srv := vendortest.Start(t)
	srv.MakeTenant("acme", "smake")
	in := client.EndpointInput{URL: client.Set(tap.URL + "/webhooks"), EventTypes: client.Set([]string{"variant.designed"})}
	if token != "" {
		in.Secret = client.Set(token)
	}
	srv.MakeEndpoint("acme", in)
	for _, d := range data {
		srv.Send("acme", client.Event{Type: "variant.designed", Data: []byte(d)}, 1)
	}
	return tap.Wait(len(data))
}
