package dialect_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

func TestScheduleForms(t *testing.T) {
	t.Parallel()
	const m, h = time.Minute, time.Hour
	for _, c := range []struct {
		retry string
		waits []time.Duration
		span  time.Duration
	}{
		{"{on: none}", nil, 0},
		{"{on: any, waits: [30m, 60m, 120m]}", []time.Duration{30 * m, 60 * m, 120 * m}, 210 * m},
		{"{on: any, waits: [10m, 20m], jitter: 0.5}", []time.Duration{10 * m, 20 * m}, 45 * m},
		{"{on: any, waits: [10m, 5h], retry_after_max: 1h}", []time.Duration{10 * m, 5 * h}, 6 * h},
		{"{on: any, exponential: {first: 1m, factor: 4, retries: 5}}", []time.Duration{m, 4 * m, 16 * m, 64 * m, 256 * m}, 341 * m},
		{"{on: any, exponential: {first: 1m, factor: 2, cap: 3m, retries: 4}}", []time.Duration{m, 2 * m, 3 * m, 3 * m}, 9 * m},
		{"{on: any, exponential: {first: 1h, factor: 2}, deadline: 24h}", []time.Duration{h, 2 * h, 4 * h, 8 * h}, 15 * h},
		{"{on: any, exponential: {first: 1h, factor: 2}, deadline: 15h, jitter: 0.1}", []time.Duration{h, 2 * h, 4 * h, 8 * h}, 15 * h},
		{"{on: any, exponential: {first: 1h, factor: 1, retries: 3}}", []time.Duration{h, h, h}, 3 * h},
	} {
		s := load(t, withRetry(c.retry)).Schedule(nil)
		if diff := cmp.Diff(c.waits, s.Waits()); diff != "" || s.Span() != c.span || s.Attempts() != len(c.waits)+1 {
			t.Errorf("%s: span %s, want %s; waits (-want +got):\n%s", c.retry, s.Span(), c.span, diff)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	s := load(t, withRetry("{on: any, waits: [10m, 20m], jitter: 0.5, deadline: 30m, retry_after_max: 15m}")).Schedule(nil)
	const m = time.Minute
	for _, c := range []struct {
		name             string
		made             int
		sinceFirst       time.Duration
		retryAfter, want time.Duration // since first; 0: no attempt
		random           float64
	}{
		{"plain", 1, 0, 0, 10 * m, 0},
		{"with jitter", 1, 0, 0, 12*m + 30*time.Second, 0.5},
		{"a shorter Retry-After changes nothing", 1, 0, 5 * m, 10 * m, 0},
		{"a longer one prolongs", 1, 0, 12 * m, 12 * m, 0},
		{"up to the limit", 1, 0, 300 * m, 15 * m, 0},
		{"never past the deadline", 2, 5 * m, 300 * m, 25 * m, 0},
		{"jitter is cut at the deadline", 2, 9 * m, 0, 30*m - 18*time.Second, 0.9},
		{"but no wait gets shorter", 2, 10*m - time.Second, 0, 30*m - time.Second, 0.9},
		{"a wait past the deadline is given up", 2, 11 * m, 0, 0, 0},
		{"after the last wait", 3, 0, 0, 0, 0},
		{"long after", 300, 0, 0, 0, 0},
		{"the clock went back", 1, -600 * m, 0, -590 * m, 0},
		{"odd randomness", 1, 0, 0, 10 * m, math.NaN()},
		{"odd randomness", 1, 0, 0, 10 * m, math.Inf(1)},
		{"a negative Retry-After", 1, 0, -5 * m, 10 * m, 0},
	} {
		at, ok := s.Next(c.made, noon, noon.Add(c.sinceFirst), c.retryAfter, c.random)
		if ok != (c.want != 0) || ok && at.Sub(noon) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, at.Sub(noon), ok, c.want)
		}
	}
	if at, ok := s.Next(0, noon, noon, 0, 0); !ok || !at.Equal(noon) {
		t.Errorf("the first attempt is due at %s", at)
	}
	if at, ok := (dialect.Schedule{}).Next(1, noon, noon, 0, 0); ok {
		t.Errorf("the zero schedule retries at %s", at)
	}
}

func TestSMR1NoRetryPastTheDeadline(t *testing.T) {
	t.Parallel()
	d := load(t, withRetry("{on: any, waits: [10m, 20m], deadline: 30m}"))
	var never time.Time
	for _, c := range []struct {
		name     string
		schedule dialect.Schedule
		made     int
		first    time.Time
		after    time.Duration
		over     bool
	}{
		{"the first attempt", d.Schedule(nil), 0, never, 48 * time.Hour, false},
		{"the first one of another round", d.Schedule(nil), 0, noon, 48 * time.Hour, false},
		{"a retry in time", d.Schedule(nil), 1, noon, 30 * time.Minute, false},
		{"a retry too late", d.Schedule(nil), 1, noon, 30*time.Minute + 1, true},
		{"waits of an endpoint's own", d.Schedule([]time.Duration{time.Hour}), 1, noon, 48 * time.Hour, false},
		{"the clock went back", d.Schedule(nil), 1, noon, -time.Hour, false},
	} {
		reason := c.schedule.Over(c.made, c.first, noon.Add(c.after))
		if (reason != "") != c.over || c.over && !strings.Contains(reason, "30m0s after the first attempt, which was at 20") {
			t.Errorf("%s: %q", c.name, reason)
		}
	}
}

func TestOverride(t *testing.T) {
	t.Parallel()
	d := load(t, withRetry("{on: any, waits: [10m], deadline: 1h}"))
	if _, ok := d.Schedule([]time.Duration{}).Next(1, noon, noon, 0, 0); ok {
		t.Error("an empty override retries")
	}
	at, ok := d.Schedule([]time.Duration{5 * time.Hour}).Next(1, noon, noon, 0, 0)
	if !ok || at.Sub(noon) != 5*time.Hour {
		t.Errorf("the override is due after %s, %v", at.Sub(noon), ok)
	}
	at, ok = d.Schedule([]time.Duration{-time.Hour}).Next(1, noon, noon, 0, 0.5)
	if !ok || at.Before(noon) {
		t.Errorf("a negative wait is due at %s, %v", at, ok)
	}
	for _, c := range []struct {
		waits []time.Duration
		ok    bool
	}{
		{nil, true}, {[]time.Duration{time.Second}, true}, {[]time.Duration{0}, false}, {[]time.Duration{32 * 24 * time.Hour}, false},
		{make([]time.Duration, 101), false},
	} {
		if err := dialect.CheckWaits(c.waits); (err == nil) != c.ok || err != nil && hook.CodeOf(err) != hook.CodeInvalid {
			t.Errorf("%v: %v", c.waits, err)
		}
	}
	year := make([]time.Duration, 30)
	for i := range year {
		year[i] = 30 * 24 * time.Hour
	}
	if dialect.CheckWaits(year) == nil {
		t.Error("a schedule of more than a year was taken")
	}
}

// Whatever endpoints ask for, a delivery is over after its attempts, in order
// and within the span.
func TestScheduleProperties(t *testing.T) {
	t.Parallel()
	d := load(t, withRetry("{on: any, waits: [1s], jitter: 0.3, retry_after_max: 24h}"))
	rapid.Check(t, func(t *rapid.T) {
		waits := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(1, int64(72*time.Hour)).Draw(t, "wait"))
		}), 0, 20).Draw(t, "waits")
		s := d.Schedule(waits)
		now, made := noon, 1
		for {
			ask := time.Duration(rapid.Int64().Draw(t, "retry after"))
			at, ok := s.Next(made, noon, now, ask, rapid.Float64().Draw(t, "random"))
			if !ok {
				break
			}
			if wait := at.Sub(now); wait < waits[made-1] || wait > max(24*time.Hour, waits[made-1]*13/10) {
				t.Fatalf("wait %d is %s for %s, asked for %s", made, wait, waits[made-1], ask)
			}
			now, made = at, made+1
		}
		if made != s.Attempts() || now.Sub(noon) > s.Span() {
			t.Fatalf("%d attempts of %d in %s of %s", made, s.Attempts(), now.Sub(noon), s.Span())
		}
	})
}
