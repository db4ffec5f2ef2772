package smake_test

import (
	"slices"
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

// unkept are objects that PHP writes otherwise than it has read them, so that
// no spelling of ours could satisfy the other reading of the page: an empty
// object becomes a list, as does one with the keys of a list, and numbers lose
// zeros, exponents and digits. The first two are in the corpus.
var unkept = []string{
	`{}`,
	`{"id":"86","name":"test product","tags":[],"more":{},"price":19.90,"big":12345678901234567}`,
	`{"more":{}}`,
	`{"0":"a","1":"b"}`,
	`{"n":19.90}`, `{"n":1.0}`, `{"n":1e3}`, `{"n":-0}`,
	`{"n":12345678901234567890123}`,
	`{"n":0.10000000000000001}`,
}

// The other reading of the page: PHP decodes the body, as the page does, and
// writes it again. It comes to the same bytes, but for what PHP does not keep.
func TestSMS3TheOtherReadingTakesAll(t *testing.T) {
	t.Parallel()
	receiver := func() *vendortest.Tap {
		return vendortest.NewTap(t, vendortest.PHP(t, "testdata/laravel.php", token, "CONTROLLER=again.php"))
	}
	kept := []string{`{"i":9223372036854775807,"f":0.1,"e":1.0e+25,"list":[[]],"0":1,"x":null,"":true}`}
	for _, d := range vendortest.Data() {
		if !slices.Contains(unkept, d) {
			kept = append(kept, d)
		}
	}
	if want := len(vendortest.Data()) - 2 + 1; len(kept) != want {
		t.Errorf("%d of the corpus are left, want %d", len(kept), want)
	}
	for _, s := range deliver(t, receiver(), token, kept...) {
		if s.Status != 200 {
			t.Errorf("answered %d: %.200s", s.Status, s.Body)
		}
	}
	for _, s := range deliver(t, receiver(), token, unkept...) { // or it need not be excepted
		if s.Status != 422 {
			t.Errorf("answered %d: %.200s", s.Status, s.Body)
		}
	}
}

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
