package sixpark_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/dialect/sixpark"
	"grapnel/internal/hook"
)

// token is the one of the vendor's examples.
const token = "b7bcf4a088215ed9396b07c9e8b931a5697bc0c4"

func load(t testing.TB) *dialect.Vendor {
	t.Helper()
	v, err := sixpark.Vendor()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verifier is what the vendor's page tells receivers to compute.
func verifier(encode func([]byte) string) func(dialecttest.Sent, hook.Secret) error {
	return func(s dialecttest.Sent, secret hook.Secret) error {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(s.Body)
		if want := encode(mac.Sum(nil)); s.Get("X-SixPark-Signature") != want {
			return errors.New("X-SixPark-Signature is " + s.Get("X-SixPark-Signature") + ", want " + want)
		}
		return nil
	}
}

// The wire, in both variants: SP-D1 (the body), SP-S1 to SP-S5 (the signature),
// SP-R1 (200 alone), SP-R2 (five retries).
func TestWire(t *testing.T) {
	t.Parallel()
	encodings := map[string]func([]byte) string{"sixpark": hex.EncodeToString, "sixpark@base64": base64.StdEncoding.EncodeToString}
	for _, d := range load(t).Dialects {
		t.Run("SP-D1 SP-S1 SP-S2 SP-S3 SP-S4 SP-S5 SP-R1 SP-R2 "+d.Name(), func(t *testing.T) {
			t.Parallel()
			s := dialecttest.Suite{
				Secrets: map[string][]hook.Secret{d.Name(): {token}},
				// What the suite publishes becomes the account's id, as a text.
				Data: func(data string) string {
					return `{"account":{"id":` + asText(data) + `,"url":"https://app.example/a/1"}}`
				},
				Verify:     verifier(encodings[d.Name()]),
				Headers:    []string{"Content-Type", "User-Agent"},
				Signatures: []string{"X-SixPark-Signature"},
				Answers: map[dialect.Result][]int{
					dialect.Delivered: {200},
					dialect.Retry:     {100, 201, 202, 204, 226, 299, 300, 301, 302, 304, 307, 400, 401, 403, 404, 408, 409, 410, 422, 500, 501, 503, 505, 599},
				},
				NoAnswer: dialect.Retry,
				Waits:    []time.Duration{time.Minute, 4 * time.Minute, 16 * time.Minute, 64 * time.Minute, 256 * time.Minute},
				Jitter:   0.2, Timeout: 20 * time.Second,
				OnInactive: dialect.Cancel, Owner: dialect.SecretEndpoint, Subscription: dialect.AllTypes,
			}
			for _, slow := range []int{429, 502, 504} {
				s.Verdicts = append(s.Verdicts, dialecttest.Verdict{Status: slow, RetryAfter: "7200", Want: dialect.Verdict{Result: dialect.Retry, Throttle: true}})
			}
			dialecttest.Run(t, d, s)
			if !d.HTTP1() {
				t.Error("HTTP/2 would change the case of the header")
			}
		})
	}
}

// asText is a text that holds JSON; the strings in it stay as they are.
func asText(data string) string {
	if strings.HasPrefix(data, `"`) {
		return data
	}
	return `"` + strings.NewReplacer("\n", `\n`, "\t", `\t`, "\r", `\r`, `"`, `\"`, `\`, `\\`).Replace(data) + `"`
}

// sample is the body that the vendor prints, with our ids and its white space.
const sample = `{
  "data": {
    "id": "EVENT",
    "type": "webhook-event",
    "attributes": {
      "even_type": "ACCOUNT_ONBOARDED"
    },
    "relationships": {
      "webhook": {
        "data": {
          "type": "webhook",
          "id": "75fe2702-114a-401c-8a5f-61d9fa15e0eb"
        },
        "links": {
          "related": "https://app.sixpark.com.au/api/v1/webhooks/75fe2702-114a-401c-8a5f-61d9fa15e0eb"
        }
      },
      "account": {
        "data": {
          "type": "account",
          "id": "f11b778a-3c83-43b5-a481-6b46e4d8aabb"
        },
        "links": {
          "related": "https://..."
        }
      }
    }
  }
}`

func TestBody(t *testing.T) {
	t.Parallel()
	d := load(t).Dialects[0]
	in := dialect.Input{
		Event:     dialecttest.Event(1, "ACCOUNT_ONBOARDED", `{"account":{"id":"f11b778a-3c83-43b5-a481-6b46e4d8aabb","url":"https://..."},"more":1}`),
		Endpoint:  &hook.Endpoint{VendorID: "75fe2702-114a-401c-8a5f-61d9fa15e0eb"},
		Tenant:    &hook.Tenant{ID: "acme", Num: 7},
		PublicURL: "https://app.sixpark.com.au",
	}
	t.Run("SP-D1 SP-D2 SP-D3 is the sample, byte by byte", func(t *testing.T) {
		got, err := d.Body(in)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.NewReplacer("\n", "", "  ", "", `": `, `":`, "EVENT", in.Event.ID.String()).Replace(sample)
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if strings.Contains(string(got), "event_type") {
			t.Error("the body has event_type, which the vendor does not write")
		}
	})
	t.Run("SP-D6 is that of one webhook", func(t *testing.T) {
		other := in
		other.Endpoint = &hook.Endpoint{VendorID: "ecb20ef1-a543-4ae5-9446-0661a882a616"}
		a, err := d.Body(in)
		b, err2 := d.Body(other)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if strings.ReplaceAll(string(a), in.Endpoint.VendorID, other.Endpoint.VendorID) != string(b) {
			t.Errorf("two webhooks get\n%s\n%s", a, b)
		}
	})
	t.Run("SP-D6 without an account there is no body", func(t *testing.T) {
		for _, data := range []string{`{}`, `1`, `{"account":{}}`, `{"account":{"url":"https://x"}}`, `{"account":{"id":"1"}}`,
			`{"account":{"id":null,"url":"https://x"}}`, `{"account":{"id":"1","url":null}}`, `{"account":{"id":{},"url":"https://x"}}`,
			`{"account":{"id":["1"],"url":"https://x"}}`, `{"account":{"id":"1","url":true}}`} {
			without := in
			without.Event = dialecttest.Event(1, "ACCOUNT_OPENED", data)
			if body, err := d.Body(without); err == nil || !strings.Contains(err.Error(), "account.") {
				t.Errorf("%s: %s, %v", data, body, err)
			}
		}
	})
}

func TestSPD1AnIDMayBeANumber(t *testing.T) {
	t.Parallel()
	in := dialect.Input{Event: dialecttest.Event(1, "ACCOUNT_OPENED", `{"account":{"id":12345678901234567890,"url":"https://x"}}`), Endpoint: &hook.Endpoint{VendorID: "x"}}
	if body, err := load(t).Dialects[0].Body(in); err != nil || !strings.Contains(string(body), `"id":12345678901234567890}`) {
		t.Errorf("%s, %v", body, err)
	}
}

func TestSPD4Catalogue(t *testing.T) {
	t.Parallel()
	for _, d := range load(t).Dialects {
		if got := strings.Join(d.Catalogue(), " "); got != "ACCOUNT_OPENED ACCOUNT_ONBOARDED" {
			t.Errorf("%s has %s", d.Name(), got)
		}
	}
}

func TestSPM3NewTokens(t *testing.T) {
	t.Parallel()
	for _, d := range load(t).Dialects {
		s, err := d.NewSecret()
		if err != nil {
			t.Fatal(err)
		}
		if len(s) != 40 || strings.Trim(string(s), "0123456789abcdef") != "" {
			t.Errorf("%s makes a token of %d characters that are not 40 of lower-case hex", d.Name(), len(s))
		}
	}
}

// With all jitter before a wait and none after, it is still longer (SP-R2).
func TestSPR2WaitsGrowStrictly(t *testing.T) {
	t.Parallel()
	waits := load(t).Dialects[0].Schedule(nil).Waits()
	if len(waits) != 5 {
		t.Errorf("%d retries, want 5", len(waits))
	}
	for i := 1; i < len(waits); i++ {
		if float64(waits[i-1])*1.2 >= float64(waits[i]) {
			t.Errorf("wait %d can be shorter than the one before", i+1)
		}
	}
}
