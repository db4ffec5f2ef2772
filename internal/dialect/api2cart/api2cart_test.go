package api2cart_test

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/api2cart"
	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/hook"
)

const storeKey hook.Secret = "ed58a22dfecb405a50ea3ea56979360d"

func load(t testing.TB) *dialect.Dialect {
	t.Helper()
	d, err := api2cart.Dialect()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// verify follows the seven steps of the source, by itself.
func verify(s dialecttest.Sent, secret hook.Secret) error {
	signed := slices.DeleteFunc(slices.Clone(s.Header), func(h hook.Header) bool {
		return !strings.HasPrefix(h.Name, "X-Webhook-") || h.Name == "X-Webhook-Signature"
	})
	slices.SortFunc(signed, func(a, b hook.Header) int { return cmp.Compare(a.Name, b.Name) })
	var pairs []string
	for _, h := range signed {
		pairs = append(pairs, phpQuote(h.Name)+":"+phpQuote(h.Value))
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("{" + strings.Join(pairs, ",") + "}"))
	mac.Write(s.Body)
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); want != s.Get("X-Webhook-Signature") {
		return errors.New("another signature: " + want)
	}
	return nil
}

// phpQuote is PHP's json_encode of a text.
func phpQuote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case strings.ContainsRune(`"\/`, r):
			b.WriteString(`\` + string(r))
		case strings.ContainsRune("\b\f\n\r\t", r):
			b.WriteString(strings.Trim(fmt.Sprintf("%q", r), "'"))
		case r < 0x20 || r > 0x7f:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

func TestWire(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, load(t), dialecttest.Suite{
		Secrets: map[string][]hook.Secret{"signed": {storeKey}},
		Verify:  verify, // A2-S1
		// A2-D3, A2-D4, A2-D5
		Headers:    []string{"Content-Type", "User-Agent", "X-Webhook-Action", "X-Webhook-Entity", "X-Webhook-Error-Code", "X-Webhook-Store-Id", "X-Webhook-Timestamp"},
		Signatures: []string{"X-Webhook-Signature"},
		Answers: map[dialect.Result][]int{
			dialect.Delivered: {200}, // A2-R1
			dialect.Retry:     {100, 101, 201, 202, 204, 226, 299, 301, 302, 304, 307, 400, 401, 403, 404, 408, 410, 422, 429, 500, 502, 503, 504, 599},
		},
		Verdicts: []dialecttest.Verdict{ // neither Retry-After nor 410 means anything here
			{Status: 503, RetryAfter: "60", Want: dialect.Verdict{Result: dialect.Retry}},
			{Status: 410, RetryAfter: "60", Want: dialect.Verdict{Result: dialect.Retry}},
		},
		NoAnswer:     dialect.Retry,
		Waits:        []time.Duration{5 * time.Second}, // A2-R2
		Timeout:      20 * time.Second,
		OnInactive:   dialect.Cancel,
		Owner:        dialect.SecretTenant,
		Subscription: dialect.OneType,
	})
}

// send makes a request of an event for an endpoint.
func send(t *testing.T, e *hook.Event, endpoint *hook.Endpoint, at time.Time) dialecttest.Sent {
	t.Helper()
	d := load(t)
	if endpoint.ID == "" {
		endpoint.ID, endpoint.URL, endpoint.VendorID = "ep_1", "https://receiver.example/", "1"
	}
	body, err := d.Body(dialect.Input{Event: e, Endpoint: endpoint, Tenant: &hook.Tenant{}, Fields: endpoint.Fields})
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.Key(storeKey)
	if err != nil {
		t.Fatal(err)
	}
	s := dialecttest.Sent{Method: d.Method(), URL: endpoint.URL, Body: body, At: at}
	s.Header, err = d.Header(dialect.Request{Event: e, Endpoint: endpoint, Tenant: &hook.Tenant{}, Extra: endpoint.Headers,
		URL: s.URL, Method: s.Method, Body: body, At: at, N: 1, Keys: []dialect.Key{key}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var now = time.Date(2018, 1, 18, 16, 6, 32, 0, time.UTC) // 1516291592, as in the source

func TestRequest(t *testing.T) {
	t.Parallel()
	product := func() *hook.Event {
		return dialecttest.Event(1, "product.add", `{"id":86,"sku":"A/1","name":"test product","price":{"value":19.90,"currency_id":3},"variants":[{"id":7,"stock":2},{"id":8,"stock":0}]}`)
	}
	body := func(fields ...string) string {
		return string(send(t, product(), &hook.Endpoint{Fields: fields}, now).Body)
	}
	t.Run("A2-D1 the body is the entity, posted", func(t *testing.T) {
		s := send(t, product(), &hook.Endpoint{}, now)
		if s.Method != "POST" || s.Get("Content-Type") != "application/json" || !strings.HasPrefix(string(s.Body), `{"id":"86",`) {
			t.Errorf("%s %v %s", s.Method, s.Header, s.Body)
		}
	})
	t.Run("A2-D2 the chosen fields, and identifiers as strings", func(t *testing.T) {
		for fields, want := range map[string]string{
			"id,name":                  `{"id":"86","name":"test product"}`,
			"name,id":                  `{"id":"86","name":"test product"}`,
			"id":                       `{"id":"86"}`,
			"price.value,variants.id":  `{"price":{"value":19.90},"variants":[{"id":"7"},{"id":"8"}]}`,
			"id,price,unknown,sku.sub": `{"id":"86","price":{"value":19.90,"currency_id":"3"}}`,
		} {
			if got := body(strings.Split(fields, ",")...); got != want {
				t.Errorf("%s:\n got %s\nwant %s", fields, got, want)
			}
		}
	})
	t.Run("A2-D3 A2-D4 the documented headers", func(t *testing.T) {
		s := send(t, product(), &hook.Endpoint{}, now)
		for name, want := range map[string]string{
			"X-Webhook-Store-Id": "1", "X-Webhook-Action": "add", "X-Webhook-Entity": "product", "X-Webhook-Error-Code": "0", "X-Webhook-Timestamp": "1516291592",
		} {
			if got := s.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if later := send(t, product(), &hook.Endpoint{}, now.Add(5*time.Second)).Get("X-Webhook-Timestamp"); later != "1516291597" {
			t.Errorf("at the second attempt the timestamp is %s", later)
		}
	})
	t.Run("A2-D3 the error's headers are ours alone", func(t *testing.T) {
		e := product()
		e.Metadata = []byte(`{"error_code":"100","error_reason":"mine","error_message":"mine","try_count":"4"}`)
		s := send(t, e, &hook.Endpoint{}, now)
		for _, h := range s.Header {
			if strings.HasPrefix(h.Name, "X-Webhook-Error-") && (h.Name != "X-Webhook-Error-Code" || h.Value != "0") {
				t.Errorf("%s: %s", h.Name, h.Value)
			}
		}
	})
	t.Run("A2-D5 over HTTP/1.1, for the case of names", func(t *testing.T) {
		if !load(t).HTTP1() {
			t.Error("any version")
		}
	})
	t.Run("A2-M4 the store of the event", func(t *testing.T) {
		e := product()
		e.Metadata = []byte(`{"store_id":"3"}`)
		if got := send(t, e, &hook.Endpoint{}, now).Get("X-Webhook-Store-Id"); got != "3" {
			t.Errorf("the store is %s", got)
		}
	})
	t.Run("A2-S2 values that PHP escapes", func(t *testing.T) {
		e := product()
		e.Metadata = []byte(`{"store_id":"a/b \"c\" \\ <&'> é 😀"}`)
		s := send(t, e, &hook.Endpoint{}, now)
		if err := verify(s, storeKey); err != nil || s.Get("X-Webhook-Store-Id") != `a/b "c" \ <&'> é 😀` {
			t.Errorf("%v, %v", s.Header, err)
		}
	})
	t.Run("A2-S3 what is signed is what is sent", func(t *testing.T) {
		e := product()
		e.Metadata = []byte(`{"store_id":" a\r\nX-Evil: 1 "}`)
		s := send(t, e, &hook.Endpoint{Headers: []hook.Header{{Name: "X-Webhook-Mine", Value: "\xff ok "}}}, now)
		if err := verify(s, storeKey); err != nil {
			t.Error(err)
		}
		for _, h := range s.Header {
			if strings.ContainsAny(h.Value, "\r\n") || !utf8.ValidString(h.Value) || strings.TrimSpace(h.Value) != h.Value {
				t.Errorf("%s: %q", h.Name, h.Value)
			}
		}
	})
	t.Run("A2-S4 the endpoint's own headers with that prefix are signed", func(t *testing.T) {
		s := send(t, product(), &hook.Endpoint{Headers: []hook.Header{{Name: "X-Webhook-A", Value: `b/"c"`}, {Name: "X-Other", Value: "d"}}}, now)
		if err := verify(s, storeKey); err != nil || s.Get("X-Webhook-A") != `b/"c"` {
			t.Errorf("%v, %v", s.Header, err)
		}
		without := s
		without.Header = slices.DeleteFunc(slices.Clone(s.Header), func(h hook.Header) bool { return h.Name == "X-Webhook-A" })
		if verify(without, storeKey) == nil {
			t.Error("the header is not signed")
		}
	})
	t.Run("A2-S6 the store_key signs, as its text", func(t *testing.T) {
		if err := verify(send(t, product(), &hook.Endpoint{}, now), storeKey); err != nil {
			t.Error(err)
		}
	})
}

func TestNotificationOfALostStore(t *testing.T) {
	t.Parallel()
	e := dialecttest.Event(1, "grapnel.connection.lost", `{}`)
	e.Metadata = []byte(`{"error_code":"100","error_message":"Enter the new key, or it ends here.","error_reason":"incorrect store key","try_count":"4","store_id":"2"}`)
	s := send(t, e, &hook.Endpoint{EventTypes: []string{"product.add"}}, now)
	t.Run("A2-LOST1 an empty body and four headers", func(t *testing.T) {
		if len(s.Body) != 0 {
			t.Errorf("the body is %q", s.Body)
		}
		for name, want := range map[string]string{
			"X-Webhook-Error-Code": "100", "X-Webhook-Error-Reason": "incorrect store key", "X-Webhook-Error-Message": "Enter the new key, or it ends here.",
			"X-Webhook-Error-Try-Count": "4", "X-Webhook-Store-Id": "2", "X-Webhook-Entity": "product", "X-Webhook-Action": "add",
		} {
			if got := s.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})
	t.Run("A2-S5 A2-LOST4 signed over the headers alone", func(t *testing.T) {
		if err := verify(s, storeKey); err != nil {
			t.Error(err)
		}
	})
}
