package standard_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/dialect/standard"
	"grapnel/internal/hook"
)

const (
	newest hook.Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	older  hook.Secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	oldest hook.Secret = "whsec_//////////////////////////////////////////8="
)

// private is a fixed ed25519 key.
var private = ed25519.NewKeyFromSeed([]byte("an ed25519 seed of just 32 bytes"))

var privateSecret = hook.Secret("whsk_" + base64.StdEncoding.EncodeToString(private))

func load(t testing.TB) *dialect.Dialect {
	t.Helper()
	d, err := standard.Dialect()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// verify checks v1 with the library of the Standard Webhooks project and v1a
// with crypto/ed25519.
func verify(s dialecttest.Sent, secret hook.Secret) error {
	if !strings.HasPrefix(string(secret), "whsk_") {
		hook, err := standardwebhooks.NewWebhook(string(secret))
		if err != nil {
			return err
		}
		return hook.VerifyIgnoringTimestamp(s.Body, s.HTTPHeader())
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret), "whsk_"))
	if err != nil {
		return err
	}
	message := fmt.Appendf(nil, "%s.%s.%s", s.Get("webhook-id"), s.Get("webhook-timestamp"), s.Body)
	for _, token := range strings.Split(s.Get("webhook-signature"), " ") {
		text, ok := strings.CutPrefix(token, "v1a,")
		sig, err := base64.StdEncoding.DecodeString(text)
		if ok && err == nil && ed25519.Verify(ed25519.PrivateKey(key).Public().(ed25519.PublicKey), message, sig) {
			return nil
		}
	}
	return errors.New("no v1a signature fits")
}

func TestStandard(t *testing.T) {
	t.Parallel()
	retry := func(after time.Duration) dialect.Verdict {
		return dialect.Verdict{Result: dialect.Retry, RetryAfter: after}
	}
	throttle := func(after time.Duration) dialect.Verdict {
		return dialect.Verdict{Result: dialect.Retry, Throttle: true, RetryAfter: after}
	}
	dialecttest.Run(t, load(t), dialecttest.Suite{
		Secrets: map[string][]hook.Secret{
			"v1": {newest}, "rotation": {newest, older, oldest}, "v1a": {privateSecret}, "mixed": {privateSecret, newest},
		},
		Verify:     verify,
		Headers:    []string{"content-type", "User-Agent", "webhook-id", "webhook-timestamp"}, // SW-1
		Signatures: []string{"webhook-signature"},
		Answers: map[dialect.Result][]int{ // SW-7
			dialect.Delivered: {200, 201, 202, 204, 226, 299},
			dialect.Retry:     {100, 101, 103, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 408, 409, 415, 422, 500, 501, 503, 505, 599},
		},
		Verdicts: []dialecttest.Verdict{
			{Status: 410, Want: dialect.Verdict{Result: dialect.Retry, Endpoint: dialect.Disable}}, // case 51: it is held, not lost
			{Status: 410, RetryAfter: "60", Want: dialect.Verdict{Result: dialect.Retry, Endpoint: dialect.Disable}},
			{Status: 429, Want: throttle(0)},
			{Status: 429, RetryAfter: "120", Want: throttle(2 * time.Minute)},
			{Status: 502, Want: throttle(0)},
			{Status: 504, RetryAfter: "1", Want: throttle(time.Second)},
			{Status: 503, RetryAfter: "3600", Want: retry(time.Hour)},
			{Status: 503, RetryAfter: "Sun, 01 Mar 2026 13:30:45 GMT", Want: retry(time.Hour - 678_901_234)},
			{Status: 500, RetryAfter: "90000", Want: retry(24 * time.Hour)},
			{Status: 200, RetryAfter: "60", Want: dialect.Verdict{Result: dialect.Delivered}},
		},
		NoAnswer: dialect.Retry,
		Waits: []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
			14 * time.Hour, 20 * time.Hour, 24 * time.Hour}, // SW-8
		Jitter:       0.2,
		Timeout:      20 * time.Second,
		OnInactive:   dialect.Hold,
		Owner:        dialect.SecretEndpoint,
		Subscription: dialect.AnyTypes,
	})
}

// The shape of the signature header, as the strictest receivers want it: new
// first, single spaces, v1 and v1a alone (SW-4).
func TestSignatureHeader(t *testing.T) {
	t.Parallel()
	d := load(t)
	for _, c := range []struct {
		secrets []hook.Secret
		want    string
	}{
		{[]hook.Secret{newest}, "v1"},
		{[]hook.Secret{newest, older, oldest}, "v1 v1 v1"},
		{[]hook.Secret{privateSecret, newest}, "v1a v1"},
		{[]hook.Secret{newest, privateSecret}, "v1 v1a"},
	} {
		sent := dialecttest.Send(t, d, dialecttest.Event(3, "a.b", "{}"), time.Unix(1700000000, 999_999_999), 1, c.secrets...)
		var versions []string
		for i, token := range strings.Split(sent.Get("webhook-signature"), " ") {
			version, sig, ok := strings.Cut(token, ",")
			if _, err := base64.StdEncoding.Strict().DecodeString(sig); err != nil || !ok {
				t.Errorf("token %q is not version,base64", token)
			}
			versions = append(versions, version)
			alone := sent
			alone.Header = slices.Clone(sent.Header)
			alone.Header[len(alone.Header)-1].Value = token
			if err := verify(alone, c.secrets[i]); err != nil {
				t.Errorf("token %d is not that of secret %d: %v", i+1, i+1, err)
			}
		}
		if got := strings.Join(versions, " "); got != c.want {
			t.Errorf("the signatures are %q, want %q", got, c.want)
		}
		if got := sent.Get("webhook-timestamp"); got != "1700000000" { // seconds, cut off
			t.Errorf("the timestamp is %s", got)
		}
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	d := load(t)
	e := dialecttest.Event(0, "invoice.paid", ` { "a" : 1.0 } `)
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 6_999_999, time.FixedZone("", 3600)) // SW-6: UTC, ms cut off
	body, err := d.Body(dialect.Input{Event: e})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"invoice.paid","timestamp":"2026-01-02T02:04:05.006Z","data": { "a" : 1.0 } }`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if cap(body) != len(body) {
		t.Errorf("the buffer has %d bytes for a body of %d", cap(body), len(body))
	}
	e.Data = nil
	if body, err := d.Body(dialect.Input{Event: e}); err == nil {
		t.Errorf("no data gives the body %q", body)
	}
}

func TestKeyErrorsSayWhatAValidSecretIs(t *testing.T) {
	t.Parallel()
	d := load(t)
	for secret, want := range map[string]string{
		"hunter2-hunter2-hunter2": "begins with whsec_",
		"":                        "empty",
		"whsec_c2hvcnQ=":          "24 to 64",
		"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE": "padding",
		"whpk_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=": "public key",
		"whsk_c2hvcnQ=": "ed25519",
	} {
		_, err := d.Key(hook.Secret(secret))
		var e *hook.Error
		if !errors.As(err, &e) || e.Field != "/secret" || !strings.Contains(e.Message, want) {
			t.Errorf("%q: %v, want %q", secret, err, want)
		}
	}
	k, err := d.Key(newest)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Count(text, "[secret]") != 4 || len(text) > 50 { // case 105
		t.Errorf("a key prints as %s", text)
	}
}

func benchmarkInput(b *testing.B) (*dialect.Dialect, *hook.Event, dialect.Key) {
	d := load(b)
	k, err := d.Key(newest)
	if err != nil {
		b.Fatal(err)
	}
	return d, dialecttest.Event(1, "invoice.paid", `{"text":"`+strings.Repeat("x", 1000)+`"}`), k
}

func BenchmarkHeader(b *testing.B) {
	d, e, k := benchmarkInput(b)
	body, err := d.Body(dialect.Input{Event: e})
	if err != nil {
		b.Fatal(err)
	}
	r := dialect.Request{Event: e, Method: d.Method(), URL: "https://receiver.example/", Body: body, At: time.Unix(1700000000, 0), N: 1, Keys: []dialect.Key{k}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Header(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	d, e, _ := benchmarkInput(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Body(dialect.Input{Event: e}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	d := load(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Key(newest); err != nil {
			b.Fatal(err)
		}
	}
}
