package customers1st_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/customers1st"
	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/hook"
)

// printed is the secret of the vendor's snippet.
const printed = "resthook_super_secret_1337"

func load(t testing.TB) *dialect.Vendor {
	t.Helper()
	v, err := customers1st.Vendor()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sign is the signature by the words of the document.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func verify(s dialecttest.Sent, secret hook.Secret) error {
	if got := s.Get("X-C1st-Webhook-Signature"); got != sign(string(secret), s.Body) || len(got) != 44 {
		return errors.New("the signature does not fit: " + got)
	}
	return nil
}

// The wire, in both variants: C1-S1, C1-S2 (signature), C1-R1, C1-R5, C1-R6,
// C1-R8 (answers), C1-R2, C1-R3 (schedule), C1-R7 (no answer), C1-R9
// (Retry-After counts for nothing).
func TestWire(t *testing.T) {
	t.Parallel()
	retried := []int{408, 500, 501, 503, 505, 507, 511, 599}
	throttled := dialect.Verdict{Result: dialect.Retry, Throttle: true}
	files := []string{"envelope", "bare"}
	for i, d := range load(t).Dialects {
		t.Run(d.Name(), func(t *testing.T) {
			t.Parallel()
			dialecttest.Run(t, d, dialecttest.Suite{
				Secrets:    map[string][]hook.Secret{files[i]: {printed}, files[i] + "_other": {"geheim-äöü-🔑"}},
				Verify:     verify,
				Headers:    []string{"Content-Type", "User-Agent"},
				Signatures: []string{"X-C1st-Webhook-Signature"},
				Answers: map[dialect.Result][]int{
					dialect.Delivered: {200, 201, 202, 204, 226, 299},
					dialect.Retry:     retried,
					dialect.Failed:    {100, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 418, 422, 425, 451},
				},
				Verdicts: []dialecttest.Verdict{
					{Status: 410, Want: dialect.Verdict{Result: dialect.Failed, Endpoint: dialect.Unsubscribe}},
					{Status: 429, Want: throttled},
					{Status: 429, RetryAfter: "7200", Want: throttled},
					{Status: 502, Want: throttled},
					{Status: 503, RetryAfter: "1", Want: dialect.Verdict{Result: dialect.Retry}},
					{Status: 504, Want: throttled},
				},
				NoAnswer:     dialect.Retry,
				Waits:        []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour},
				Timeout:      20 * time.Second,
				OnInactive:   dialect.Cancel,
				Owner:        dialect.SecretTenant,
				Subscription: dialect.OneType,
			})
			t.Run("C1-R1 retries exactly on 408, 429 and 500 to 599", func(t *testing.T) {
				for status := 300; status <= 599; status++ {
					want := status == 408 || status == 429 || status >= 500
					if got := d.Judge(dialect.Answer{Status: status}).Result == dialect.Retry; got != want {
						t.Errorf("%d is retried: %v", status, got)
					}
				}
			})
		})
	}
}

// C1-D2: the envelope, as it was seen; the bare object in the variant (C1-D1).
func TestBody(t *testing.T) {
	t.Parallel()
	e := dialecttest.Event(0, "giftcard.created", `{ "id" : 5, "url": "https://a/b", "amount":200.00 }`)
	e.Time = time.Date(2024, 7, 8, 21, 34, 9, 999, time.FixedZone("", 2*3600))
	in := dialect.Input{
		Event: e, Number: 12723294,
		Endpoint: &hook.Endpoint{VendorID: "5598"},
		Tenant:   &hook.Tenant{Num: 7, Settings: map[string]string{"vendor_id": "3241"}},
	}
	for _, c := range []struct {
		name, metadata, dialect, want string
		tenant                        *hook.Tenant
	}{
		{"C1-D2 the envelope", "", "customers1st",
			`{"content":{ "id" : 5, "url": "https://a/b", "amount":200.00 },"event":"giftcard.created","logid":12723294,"resthookid":5598,"storeid":3241,"initiated":"2024-07-08T19:34:09+00:00","metadata":[]}`, in.Tenant},
		{"C1-D2 metadata is a list when it is empty", "{}", "customers1st",
			`{"content":{ "id" : 5, "url": "https://a/b", "amount":200.00 },"event":"giftcard.created","logid":12723294,"resthookid":5598,"storeid":3241,"initiated":"2024-07-08T19:34:09+00:00","metadata":[]}`, in.Tenant},
		{"C1-D2 a store without a number of its own", "", "customers1st",
			`{"content":{ "id" : 5, "url": "https://a/b", "amount":200.00 },"event":"giftcard.created","logid":12723294,"resthookid":5598,"storeid":7,"initiated":"2024-07-08T19:34:09+00:00","metadata":[]}`, &hook.Tenant{Num: 7}},
		{"C1-D3 metadata is echoed", `{"source":"e-conomic"}`, "customers1st",
			`{"content":{ "id" : 5, "url": "https://a/b", "amount":200.00 },"event":"giftcard.created","logid":12723294,"resthookid":5598,"storeid":3241,"initiated":"2024-07-08T19:34:09+00:00","metadata":{"source":"e-conomic"}}`, in.Tenant},
		{"C1-D1 the object alone", `{"source":"e-conomic"}`, "customers1st@bare", `{ "id" : 5, "url": "https://a/b", "amount":200.00 }`, in.Tenant},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := load(t).Dialects
			i := slices.IndexFunc(all, func(d *dialect.Dialect) bool { return d.Name() == c.dialect })
			if i < 0 {
				t.Fatalf("there is no dialect %s", c.dialect)
			}
			event := *e
			if c.metadata != "" {
				event.Metadata = []byte(c.metadata)
			}
			of := in
			of.Event, of.Tenant = &event, c.tenant
			body, err := all[i].Body(of)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The variant differs from the dialect in nothing but its body.
func TestVariantsAgree(t *testing.T) {
	t.Parallel()
	first, bare := load(t).Dialects[0], load(t).Dialects[1]
	t.Run("C1-EV1 the list of events", func(t *testing.T) {
		if diff := cmp.Diff(first.Catalogue(), bare.Catalogue()); diff != "" {
			t.Error(diff)
		}
		sorted := slices.Clone(first.Catalogue())
		slices.Sort(sorted)
		if n := len(slices.Compact(sorted)); n != 60 {
			t.Errorf("there are %d events, want 60", n)
		}
	})
	if first.Family() != bare.Family() || first.IDs() != dialect.NumberIDs || bare.IDs() != dialect.NumberIDs {
		t.Error("the variants do not have the same family and ids")
	}
	if !first.Suppressible() || !bare.Suppressible() { // C1-X1
		t.Error("a variant cannot be suppressed")
	}
}
