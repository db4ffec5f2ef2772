package why_test

import (
	"strings"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/why"
)

var (
	accepted = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now      = accepted.Add(time.Hour)
)

// facts are those of an event that was to go to an endpoint and waits.
func facts(change ...func(*why.Facts)) *why.Facts {
	f := &why.Facts{
		Now:      now,
		Event:    &hook.Event{ID: hook.FirstEventID(accepted), Type: "invoice.paid", Targets: []hook.Target{{Endpoint: 1}}},
		Endpoint: &hook.Endpoint{Num: 1, State: hook.EndpointActive, CreatedAt: accepted.Add(-time.Hour)},
		Holds:    true, Success: "2xx",
		Delivery: &hook.Delivery{State: hook.Pending, NextAt: accepted},
		Place:    why.Place{Here: true},
	}
	for _, c := range change {
		c(f)
	}
	return f
}

// attempt lets the last attempt be one with a status, or a failure's class.
func attempt(n, status int, class, detail, reason string, state hook.DeliveryState) func(*why.Facts) {
	return func(f *why.Facts) {
		f.Last = &hook.Attempt{N: n, At: accepted.Add(time.Minute), Status: status, Class: class, Detail: detail, Reason: reason, State: state}
		f.Delivery.Attempts, f.Delivery.State, f.Delivery.Reason, f.Delivery.Status, f.Delivery.Class = n, state, reason, status, class
		if state == hook.Pending {
			f.Last.NextAt, f.Delivery.NextAt = now.Add(time.Hour), now.Add(time.Hour)
		}
	}
}

func notMeant(f *why.Facts) { f.Event.Targets, f.Delivery = nil, nil }

// The situations that people ask about: each names its cause and what to do about it.
func TestSituations(t *testing.T) {
	t.Parallel()
	refuses := attempt(3, 0, "refused", "the host refused the connection", "no answer: refused", hook.Pending)
	for name, c := range map[string]struct {
		facts  *why.Facts
		want   why.Situation
		says   []string // in the sentence
		remedy string   // in the remedy; "-": there is none
	}{
		"another type": {facts(notMeant, func(f *why.Facts) {
			f.Rule, f.Text = "event_types", "it subscribes to user.*, and the event is invoice.paid"
		}), why.NotSubscribed, []string{"subscribes to user.*"}, "event_types"},
		"another store":                        {facts(notMeant, func(f *why.Facts) { f.Rule, f.Text = "scope", "its store_id is 1, and the event's store is 2" }), why.OtherScope, []string{"store_id is 1"}, "Correct"},
		"the filter":                           {facts(notMeant, func(f *why.Facts) { f.Rule, f.At, f.Text = "filter", "/and/0", "data.n is 5" }), why.Filtered, []string{"filter", "data.n is 5"}, "change the filter"},
		"made later":                           {facts(notMeant, func(f *why.Facts) { f.Endpoint.CreatedAt = accepted.Add(time.Minute) }), why.MadeLater, []string{"12:01:00", "12:00:00"}, "another id"},
		"changed since":                        {facts(notMeant, func(f *why.Facts) { f.Endpoint.UpdatedAt = accepted.Add(time.Minute) }), why.ChangedSince, []string{"12:01:00"}, "another id"},
		"a test of another endpoint":           {facts(notMeant), why.NotMeant, []string{"test event"}, "test event of its own"},
		"suppressed":                           {facts(func(f *why.Facts) { f.Event.Targets[0].Disposition = hook.Suppressed }), why.Suppressed, []string{"publisher"}, "without suppress"},
		"inactive under a contract that drops": {facts(func(f *why.Facts) { f.Event.Targets[0].Disposition = hook.Inactive }), why.Inactive, []string{"not active"}, "once the endpoint is active"},
		"delivered":                            {facts(attempt(1, 200, "", "", "answered 200 OK", hook.Delivered)), why.Delivered, []string{"12:01:00", "answered 200 OK"}, "receiver"},
		"delivered at last":                    {facts(attempt(4, 204, "", "", "answered 204 No Content", hook.Delivered)), why.Delivered, []string{"at attempt 4"}, "receiver"},
		"the schedule is over": {facts(attempt(8, 503, "", "", "answered 503 Service Unavailable; no attempt is left", hook.Failed)), why.GivenUp,
			[]string{"8 attempts", "503"}, "log at this time"},
		"given up without a request": {facts(refuses, func(f *why.Facts) {
			f.Delivery.State, f.Delivery.Reason = hook.Failed, "given up without a request: the endpoint has not answered since then"
		}), why.GivenUp, []string{"not answered since"}, "runs and listens"},
		"skipped for those behind it": {facts(attempt(3, 500, "", "", "skipped after 3 failed attempts, for others wait for it in order", hook.Failed)), why.GivenUp, []string{"skipped after 3"}, "redeliver"},
		"an answer that is final":     {facts(attempt(1, 400, "", "", "answered 400 Bad Request", hook.Failed)), why.Final, []string{"contract", "400"}, "did not take the request"},
		"a status that the contract does not take": {facts(attempt(1, 204, "", "", "answered 204 No Content", hook.Failed), func(f *why.Facts) { f.Success = "200" }), why.Final,
			[]string{"204", "takes 200 for received"}, "as the contract wants it"},
		"a redirect": {facts(attempt(1, 302, "", "", "answered 302 Found: redirects are not followed", hook.Failed)), why.Final, []string{"redirects are not followed"}, "where the redirect leads"},
		"410":        {facts(attempt(1, 410, "", "", "answered 410 Gone: the endpoint unsubscribed", hook.Failed), func(f *why.Facts) { f.Endpoint.Deleted = true }), why.Unsubscribed, []string{"410 Gone"}, "-"},
		"a blocked address": {facts(attempt(1, 0, "blocked", "requests to this address are not allowed", "no answer: blocked", hook.Pending)), why.Retrying,
			[]string{"not allowed", "14:00:00"}, "public address"},
		"a certificate": {facts(attempt(2, 0, "tls", "the certificate has expired", "no answer: tls", hook.Pending)), why.Retrying, []string{"expired", "Attempt 2"}, "certificate"},
		"paused":        {facts(func(f *why.Facts) { f.Endpoint.State, f.Endpoint.StateAt = hook.EndpointPaused, accepted }), why.Paused, []string{"paused since", "Nothing is lost"}, "Make the endpoint active"},
		"disabled": {facts(func(f *why.Facts) {
			f.Endpoint.State, f.Endpoint.StateReason = hook.EndpointDisabled, "answered 410 Gone: the endpoint is gone and was disabled"
		}), why.Disabled, []string{"410 Gone"}, "make the endpoint active"},
		"no body":             {facts(func(f *why.Facts) { f.Delivery.State, f.Delivery.Reason = hook.Held, "data.id is missing" }), why.NoBody, []string{"data.id is missing"}, "redeliver"},
		"cancelled":           {facts(func(f *why.Facts) { f.Delivery.State, f.Delivery.Reason = hook.Cancelled, hook.ByRequest }), why.Cancelled, []string{hook.ByRequest}, "Redeliver"},
		"cancelled, and gone": {facts(func(f *why.Facts) { f.Delivery.State, f.Endpoint.Deleted = hook.Cancelled, true }), why.Cancelled, []string{"cancelled"}, "-"},
		"no record":           {facts(func(f *why.Facts) { f.Delivery = nil }), why.Cancelled, []string{"nothing is known"}, "-"},
		"under way":           {facts(func(f *why.Facts) { f.Place.UnderWay = true }), why.UnderWay, []string{"just now"}, "a moment"},
		"breaker":             {facts(refuses, func(f *why.Facts) { f.Place.Broken, f.Place.Failed, f.Place.ProbeAt = true, 7, now.Add(time.Second) }), why.Broken, []string{"7 attempts in a row", "13:00:01", "refused"}, "runs and listens"},
		"rate limited":        {facts(func(f *why.Facts) { f.Endpoint.RateLimit, f.Place.RateWait, f.Place.Ahead = 0.5, 2*time.Second, 3 }), why.Limited, []string{"rate_limit of 0.5", "behind 3 others"}, "Raise"},
		"in order":            {facts(func(f *why.Facts) { f.WaitsFor = "dlv_1" }), why.InOrder, []string{"dlv_1 comes first"}, "skip_after"},
		"queued":              {facts(func(f *why.Facts) { f.Place.Ahead, f.Place.InFlight, f.Place.Most = 1, 8, 8 }), why.Queued, []string{"behind one other", "As many attempts"}, "too slowly"},
		"no way out":          {facts(func(f *why.Facts) { f.Place.NoWayOut = true }), why.NoWayOut, []string{"reaches no host"}, "way out"},
		"no lease":            {facts(func(f *why.Facts) { f.Place.Unsent = true }), why.NoLease, []string{"lease"}, "/readyz"},
		"put aside":           {facts(func(f *why.Facts) { f.Place.Aside = true }), why.Unrecorded, []string{"store refuses it"}, "log"},
		"another server's":    {facts(func(f *why.Facts) { f.Place.Here = false }), why.Elsewhere, []string{"another server"}, "nodes"},
		"something to be mended": {facts(func(f *why.Facts) {
			f.Delivery.Reason, f.Delivery.NextAt = "its secret cannot be opened", now.Add(time.Minute)
		}), why.Mending,
			[]string{"secret cannot be opened", "13:01:00"}, "Mend"},
	} {
		got := why.Explain(c.facts)
		if got.Situation != c.want {
			t.Errorf("%s: %s, want %s: %s", name, got.Situation, c.want, got.Sentence)
			continue
		}
		for _, part := range c.says {
			if !strings.Contains(got.Sentence, part) {
				t.Errorf("%s: %q does not say %q", name, got.Sentence, part)
			}
		}
		if c.remedy == "-" && got.Remedy != "" || c.remedy != "-" && !strings.Contains(got.Remedy, c.remedy) {
			t.Errorf("%s: the remedy is %q, want %q in it", name, got.Remedy, c.remedy)
		}
		for _, text := range []string{got.Sentence, got.Remedy} {
			if text != "" && (!strings.HasSuffix(text, ".") || strings.Contains(text, "..") || strings.Contains(text, "  ")) {
				t.Errorf("%s: %q is no sentence", name, text)
			}
		}
		if !got.NextAt.IsZero() && got.NextAt.Before(now) {
			t.Errorf("%s: it goes on at %v", name, got.NextAt)
		}
	}
}
