package smake_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"math"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/dialect/smake"
	"grapnel/internal/hook"
)

const token = "resthook_super_secret_1337"

func load(t testing.TB) *dialect.Vendor {
	t.Helper()
	v, err := smake.Vendor()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verify is what the vendor's snippet computes.
func verify(s dialecttest.Sent, secret hook.Secret) error {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(s.Body)
	if want := "sha1=" + hex.EncodeToString(mac.Sum(nil)); s.Get("X-Signature") != want {
		return errors.New("X-Signature is " + s.Get("X-Signature") + ", want " + want)
	}
	return nil
}

// growing are the waits of an exponential schedule.
func growing(first time.Duration, factor float64, count int) (out []time.Duration) {
	for n := range count {
		out = append(out, time.Duration(float64(first)*math.Pow(factor, float64(n))))
	}
	return out
}

// The wire, in both variants: SM-D1 (POST, JSON), SM-D2 (the body), SM-S1 and
// SM-S2 (signed with a token, and no header without), SM-A1 (what acknowledges),
// SM-R1 and SM-R2 (schedule, timeout), SM-S4 (422 is retried).
func TestWire(t *testing.T) {
	t.Parallel()
	schedules := map[string]dialecttest.Suite{
		"smake":            {Waits: growing(time.Minute, 2, 10), Jitter: 0.2, Timeout: 20 * time.Second},
		"smake@2022-02-01": {Waits: growing(2*time.Minute, 1.1, 50), Jitter: 0.05, Timeout: 10 * time.Second},
	}
	for _, d := range load(t).Dialects {
		t.Run("SM-D1 SM-D2 SM-S1 SM-S2 SM-A1 "+d.Name(), func(t *testing.T) {
			t.Parallel()
			s, ok := schedules[d.Name()]
			if !ok {
				t.Fatalf("there is a dialect %s", d.Name())
			}
			s.Secrets = map[string][]hook.Secret{d.Name(): {token}, d.Name() + "_unicode": {"geheim-äöü-🔑"}, d.Name() + "_unsigned": nil}
			s.Verify = verify
			s.Headers, s.Signatures = []string{"Content-Type", "User-Agent"}, []string{"X-Signature"}
			s.Answers = map[dialect.Result][]int{
				dialect.Delivered: {200, 201, 202, 204, 226, 299},
				dialect.Retry:     {100, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 408, 409, 410, 415, 422, 500, 501, 503, 505, 599},
			}
			for _, slow := range []int{429, 502, 504} {
				s.Verdicts = append(s.Verdicts, dialecttest.Verdict{Status: slow, RetryAfter: "7200", Want: dialect.Verdict{Result: dialect.Retry, Throttle: true}})
			}
			s.NoAnswer = dialect.Retry
			s.OnInactive, s.Owner, s.Subscription = dialect.Cancel, dialect.SecretEndpointOptional, dialect.AnyTypes
			dialecttest.Run(t, d, s)
		})
	}
}

func TestSMS3BodyIsPHPsJSON(t *testing.T) {
	t.Parallel()
	e := dialecttest.Event(0, "variant.designed", `{ "url":"https://x/ü", "face":"😀", "n":[1.0, 12345678901234567890123], "html":"<&>'", "more":{} }`)
	body, err := load(t).Dialects[0].Body(dialect.Input{Event: e})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"variant.designed","data":{"url":"https:\/\/x\/\u00fc","face":"\ud83d\ude00","n":[1.0,12345678901234567890123],"html":"<&>'","more":{}},` +
		`"id":"` + e.ID.String() + `","created_at":"2026-03-01T12:30:45+00:00"}`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestSME1Catalogue(t *testing.T) {
	t.Parallel()
	for _, d := range load(t).Dialects {
		have := map[string]bool{}
		for _, name := range d.Catalogue() {
			have[name] = true
		}
		for _, name := range []string{
			"order.shipped", "order.cancelled", "shipping-rate.calculated", "variant.designed", "id-tag.updated", // 2021-02-23
			"order.completed", "order.prepared", "order.failed", "variant.completed", "variant.failed", "logo.completed", "logo.failed", "shipment.prepared", // 2022-02-01
		} {
			if !have[name] {
				t.Errorf("%s does not have %s", d.Name(), name)
			}
		}
	}
}

// The waits grow at every step, with the most jitter before and the least
// after, and the last attempt begins in time.
func TestSMR1SMR2WaitsGrowStrictly(t *testing.T) {
	t.Parallel()
	for i, limit := range []time.Duration{24 * time.Hour, 48 * time.Hour} {
		d := load(t).Dialects[i]
		jitter := []float64{1.2, 1.05}[i]
		waits := d.Schedule(nil).Waits()
		if count := []int{10, 50}[i]; len(waits) != count {
			t.Errorf("%s has %d retries, want %d", d.Name(), len(waits), count)
		}
		var longest time.Duration
		for n, w := range waits {
			if n > 0 && float64(waits[n-1])*jitter >= float64(w) {
				t.Errorf("%s: wait %d can be shorter than the one before", d.Name(), n+1)
			}
			longest += time.Duration(float64(w)*jitter) + d.Timeout()
		}
		if longest > limit {
			t.Errorf("%s: the last retry can come after %s", d.Name(), longest)
		}
	}
}
