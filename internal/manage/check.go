package manage

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// The bounds of what an endpoint may ask for.
const (
	maxDescription = 1000
	maxEventTypes  = 500
	maxFilter      = 16 << 10
	minTimeout     = 100 * time.Millisecond
	maxTimeout     = time.Minute
	minRate        = 0.001
	maxRate        = 10_000
	maxInFlight    = 1000
	maxSkipAfter   = 1000
	minDisable     = 5 * time.Second
	maxDisable     = 90 * 24 * time.Hour
)

// fillEndpoint checks what is given and puts it into e.
func (m *Manager) fillEndpoint(e *hook.Endpoint, in EndpointInput, now time.Time) error {
	d, err := m.dialect(e.Dialect)
	if err != nil {
		return err
	}
	if in.URL != nil {
		if err := m.CheckURL(*in.URL); err != nil {
			return err
		}
		if e.URL != *in.URL {
			e.FailingSince = time.Time{} // of the new one nothing is known
		}
		e.URL = *in.URL
	}
	if in.Description != nil {
		if err := checkText("/description", *in.Description, maxDescription); err != nil {
			return err
		}
		e.Description = *in.Description
	}
	if in.Headers != nil {
		if err := d.CheckExtra(*in.Headers); err != nil {
			return err
		}
		e.Headers = slices.Clone(*in.Headers)
	}
	if err := m.fillAccess(e, in, d); err != nil {
		return err
	}
	if err := m.fillSubscription(e, in, d); err != nil {
		return err
	}
	if err := fillTransform(e, in, d); err != nil {
		return err
	}
	if err := fillContract(e, in, d); err != nil {
		return err
	}
	if err := m.fillPolicy(e, in, d); err != nil {
		return err
	}
	return fillState(e, in.State, now)
}

// fillSubscription takes over which events are wanted.
func (m *Manager) fillSubscription(e *hook.Endpoint, in EndpointInput, d *dialect.Dialect) error {
	was := e.EventTypes
	if in.EventTypes != nil {
		if err := checkEventTypes(*in.EventTypes); err != nil {
			return err
		}
		e.EventTypes = slices.Clone(*in.EventTypes)
		if len(e.EventTypes) == 1 && e.EventTypes[0] == "*" {
			e.EventTypes = nil
		}
	}
	if err := d.Subscription().Check(e.EventTypes); err != nil {
		return unsuitable(err)
	}
	if e.Num == 0 || !slices.Equal(was, e.EventTypes) {
		peers := in.peers
		if peers == nil {
			peers = func() []*hook.Endpoint { return m.Directory.Endpoints(e.Tenant) }
		}
		if err := m.checkContract(e, d, peers); err != nil {
			return err
		}
	}
	if in.Filter == nil {
		return nil
	}
	filter := bytes.TrimSpace(*in.Filter)
	if len(filter) == 0 {
		e.Filter = nil
		return nil
	}
	if len(filter) > maxFilter {
		return hook.Invalid("/filter", "has %d bytes, at most %d are allowed", len(filter), maxFilter)
	}
	if err := m.CheckFilter(filter); err != nil {
		return under("/filter", err)
	}
	e.Filter = bytes.Clone(filter)
	return nil
}

// under puts the place that a check names into the whole input.
func under(pointer string, err error) error {
	var inner *hook.Error
	if !errors.As(err, &inner) {
		return err
	}
	e := *inner
	e.Field = pointer + inner.Field
	return &e
}

// unsuitable makes a refusal of one that the dialect gives: the input is well
// formed, and another dialect would take it.
func unsuitable(err error) error {
	var inner *hook.Error
	if !errors.As(err, &inner) {
		return err
	}
	e := *inner
	e.Code = CodeUnsuitable
	return &e
}

// checkEventTypes takes names, and "prefix.*" for all names below a prefix, or "*" for
// all there are.
func checkEventTypes(types []string) error {
	if len(types) > maxEventTypes {
		return hook.Invalid("/event_types", "holds %d types, at most %d are allowed", len(types), maxEventTypes)
	}
	seen := make(map[string]bool, len(types))
	for i, t := range types {
		at := fmt.Sprintf("/event_types/%d", i)
		name, isPrefix := strings.CutSuffix(t, ".*")
		switch {
		case t == "*" && len(types) == 1:
			return nil
		case t == "*":
			return hook.Invalid(at, "stands for every type, so leave the others out")
		case seen[t]:
			return hook.Invalid(at, "%q is there twice", hook.Clip(t))
		}
		if err := hook.ValidType(name); err != nil {
			if strings.Contains(t, "*") && !isPrefix {
				return hook.Invalid(at, "* stands only at the end, behind a dot, as in invoice.*")
			}
			return hook.Invalid(at, "%v", err)
		}
		seen[t] = true
	}
	return nil
}

// fillPolicy takes over how deliveries are made, within bounds.
func (m *Manager) fillPolicy(e *hook.Endpoint, in EndpointInput, d *dialect.Dialect) error {
	if in.Timeout != nil {
		if t := *in.Timeout; t != 0 && (t < minTimeout || t > maxTimeout) {
			return hook.Invalid("/timeout", "is %s; it may be from %s to %s", t, minTimeout, maxTimeout)
		}
		e.Timeout = *in.Timeout
	}
	if in.RateLimit != nil {
		if r := *in.RateLimit; r != 0 && (math.IsNaN(r) || r < minRate || r > maxRate) {
			return hook.Invalid("/rate_limit", "is %g requests per second; it may be from %g to %d", r, minRate, maxRate)
		}
		e.RateLimit = *in.RateLimit
	}
	if in.MaxInFlight != nil {
		if n := *in.MaxInFlight; n < 0 || n > maxInFlight {
			return hook.Invalid("/max_in_flight", "is %d; it may be from 1 to %d, or 0 for the server's own limit", n, maxInFlight)
		}
		e.MaxInFlight = *in.MaxInFlight
	}
	if in.Schedule != nil {
		if err := dialect.CheckWaits(*in.Schedule); err != nil {
			return err
		}
		e.Schedule = slices.Clone(*in.Schedule) // which keeps nil apart from empty
	}
	if err := fillOrder(e, in); err != nil {
		return err
	}
	if in.DisableAfter != nil {
		if d := *in.DisableAfter; d != 0 && (d < minDisable || d > maxDisable) {
			return hook.Invalid("/disable_after", "is %s; it may be from %s to %d days, or null for never", d, minDisable, maxDisable/(24*time.Hour))
		}
		e.DisableAfter = *in.DisableAfter
	}
	return m.checkSpan(d, e.Schedule)
}

// fillOrder takes over which deliveries wait for each other, and for how long.
func fillOrder(e *hook.Endpoint, in EndpointInput) error {
	if in.Ordering != nil {
		switch *in.Ordering {
		case hook.Unordered, hook.OrderedByKey, hook.OrderedStrict:
		default:
			return hook.Invalid("/ordering", "is %q; it may be none, key or strict", hook.Clip(string(*in.Ordering)))
		}
		if e.Ordering = *in.Ordering; e.Ordering == hook.Unordered {
			e.SkipAfter = 0
		}
	}
	if in.SkipAfter == nil {
		return nil
	}
	switch n := *in.SkipAfter; {
	case n < 0 || n > maxSkipAfter:
		return hook.Invalid("/skip_after", "is %d failed attempts; it may be from 1 to %d, or null to hold what comes after", n, maxSkipAfter)
	case n > 0 && e.Ordering == hook.Unordered:
		return hook.Invalid("/skip_after", "is for an endpoint whose ordering is key or strict: with none, no event waits for another")
	}
	e.SkipAfter = *in.SkipAfter
	return nil
}

// checkSpan refuses a schedule whose waits go on when its event is to be gone.
// What a receiver's Retry-After may add to them does not count: it is not
// planned, and a store keeps events with deliveries that are still to be sent.
func (m *Manager) checkSpan(d *dialect.Dialect, override []time.Duration) error {
	var span time.Duration
	for _, w := range d.Schedule(override).Waits() {
		span += w
	}
	if m.Retention == 0 || span < m.Retention {
		return nil
	}
	return hook.Invalid("/schedule", "goes on for up to %s, and events are kept for %s: make the schedule shorter, or the server's retention longer",
		span.Round(time.Second), m.Retention)
}

func fillState(e *hook.Endpoint, state *hook.EndpointState, now time.Time) error {
	if state == nil || *state == e.State {
		return nil
	}
	if *state != hook.EndpointActive && *state != hook.EndpointPaused {
		return hook.Invalid("/state", "can be set to active or paused")
	}
	e.State, e.StateReason, e.StateAt, e.FailingSince = *state, "", touched(e.StateAt, now), time.Time{}
	return nil
}
