package dialect_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// patient obeys Retry-After up to a day; its one wait is 5 seconds.
const patient = "{on: any, waits: [5s], retry_after_max: 24h}"

// withRetry is the base dialect with another section retry.
func withRetry(retry string) string {
	from, to := strings.Index(base, "retry:"), strings.Index(base, "answers:")
	return base[:from] + "retry: " + retry + "\n" + base[to:]
}

func TestJudgeAcme(t *testing.T) {
	t.Parallel()
	d := load(t, base)
	for _, c := range []struct {
		answer   dialect.Answer
		result   dialect.Result
		endpoint dialect.Action
		throttle bool
		reason   string
	}{
		{dialect.Answer{Status: 200}, dialect.Delivered, dialect.None, false, "answered 200 OK"},
		{dialect.Answer{Status: 201}, dialect.Failed, dialect.None, false, "answered 201 Created"},
		{dialect.Answer{Status: 204}, dialect.Delivered, dialect.None, false, "answered 204 No Content"},
		{dialect.Answer{Status: 101}, dialect.Failed, dialect.None, false, "answered 101 Switching Protocols"},
		{dialect.Answer{Status: 302}, dialect.Failed, dialect.None, false, "redirects are not followed"}, // case 45
		{dialect.Answer{Status: 404}, dialect.Failed, dialect.None, false, "answered 404 Not Found"},
		{dialect.Answer{Status: 408}, dialect.Retry, dialect.None, false, "answered 408"},
		{dialect.Answer{Status: 410}, dialect.Failed, dialect.Unsubscribe, false, "unsubscribed"}, // case 51
		{dialect.Answer{Status: 429}, dialect.Retry, dialect.None, true, "answered 429"},
		{dialect.Answer{Status: 500}, dialect.Retry, dialect.None, false, "answered 500"},
		{dialect.Answer{Status: 599}, dialect.Retry, dialect.None, false, "answered 599"},
		{dialect.Answer{Status: 999}, dialect.Failed, dialect.None, false, "no HTTP status"}, // case 44
		{dialect.Answer{Status: 0}, dialect.Failed, dialect.None, false, "no HTTP status"},
		{dialect.Answer{Class: "timeout_body", Status: 200}, dialect.Retry, dialect.None, false, "no answer: timeout_body"},
	} {
		v := d.Judge(c.answer)
		if v.Result != c.result || v.Endpoint != c.endpoint || v.Throttle != c.throttle || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%+v: %+v", c.answer, v)
		}
	}
}

// A status that disables keeps the delivery where deliveries are held, and
// ends it where they are cancelled.
func TestDisableFollowsOnInactive(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]dialect.Result{"hold": dialect.Retry, "cancel": dialect.Failed} {
		src := strings.NewReplacer("unsubscribe: [410]", "disable: [410]", "on_inactive: cancel", "on_inactive: "+rule).Replace(base)
		if v := load(t, src).Judge(dialect.Answer{Status: 410}); v.Result != want || v.Endpoint != dialect.Disable {
			t.Errorf("on_inactive %s: %+v", rule, v)
		}
	}
}

// case 50
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	d := load(t, withRetry(patient))
	date := func(at time.Time) string { return at.Format(http.TimeFormat) }
	for _, c := range []struct {
		values []string
		want   time.Duration
	}{
		{nil, 0},
		{[]string{""}, 0},
		{[]string{"0"}, 0},
		{[]string{"-1"}, 0},
		{[]string{"+5"}, 0},
		{[]string{"1.5"}, 0},
		{[]string{"1e300"}, 0},
		{[]string{"NaN"}, 0},
		{[]string{"inf"}, 0},
		{[]string{"0x10"}, 0},
		{[]string{"soon"}, 0},
		{[]string{"5 seconds"}, 0},
		{[]string{"5, 10"}, 0},
		{[]string{"5", "10"}, 0},
		{[]string{"٥"}, 0},
		{[]string{"120"}, 2 * time.Minute},
		{[]string{" 120 "}, 2 * time.Minute},
		{[]string{"007"}, 7 * time.Second},
		{[]string{"9999999999"}, day},
		{[]string{"99999999999999999999999999"}, day},
		{[]string{date(noon.Add(time.Hour))}, time.Hour},
		{[]string{date(noon.Add(-time.Hour))}, 0},
		{[]string{"Fri, 31 Dec 9999 23:59:59 GMT"}, day},
		{[]string{"Thu, 01 Jan 1970 00:00:00 GMT"}, 0},
		{[]string{"Sun, 01 Mar 2026 13:00:00 +0000"}, 0},
		{[]string{"Sunday, 01-Mar-26 13:00:00 GMT"}, time.Hour},
		{[]string{"Sun Mar  1 13:00:00 2026"}, time.Hour},
	} {
		h := http.Header{"Retry-After": c.values}
		if got := d.Judge(dialect.Answer{Status: 503, Header: h, At: noon}).RetryAfter; got != c.want {
			t.Errorf("%q: %s, want %s", c.values, got, c.want)
		}
	}
	h := http.Header{"Retry-After": {"60"}}
	if got := load(t, base).Judge(dialect.Answer{Status: 503, Header: h, At: noon}).RetryAfter; got != 0 {
		t.Errorf("a dialect that does not obey Retry-After gives %s", got)
	}
}

// FuzzRetryAfter: whatever stands in the header, the next attempt is neither
// earlier than the backoff nor later than a day (case 50).
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "-1", "1e300", "NaN", "inf", "9999999999", "120", "5, 10", "Fri, 31 Dec 9999 23:59:59 GMT",
		"Thu, 01 Jan 1970 00:00:00 GMT", "Sun Mar  1 13:00:00 2026", "18446744073709551616", "\x00", "9223372036", "9223372037"} {
		f.Add(s, "", noon.Unix(), 0.5)
	}
	f.Add("1", "2", int64(-62135596800), 0.0)
	f.Add("1", "", int64(1)<<40, 1.0)
	f.Add("1", "", int64(0), math.NaN())
	d, err := dialect.Load("test.yaml", []byte(withRetry(patient)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, one, two string, now int64, random float64) {
		h := http.Header{"Retry-After": {one}}
		if two != "" {
			h.Add("Retry-After", two)
		}
		at := time.Unix(now%(1<<40), 0)
		v := d.Judge(dialect.Answer{Status: 503, Header: h, At: at})
		if v.RetryAfter < 0 || v.RetryAfter > 24*time.Hour {
			t.Fatalf("%q, %q: Retry-After of %s", one, two, v.RetryAfter)
		}
		next, ok := d.Schedule(nil).Next(1, at, at, v.RetryAfter, random)
		if wait := next.Sub(at); !ok || wait < 5*time.Second || wait > 24*time.Hour {
			t.Fatalf("%q, %q: the next attempt is after %s (%v)", one, two, wait, ok)
		}
	})
}
