package main

import (
	"fmt"
	"time"

	"grapnel/internal/config"
)

// past is a flag's moment that lies behind: a time of RFC 3339, or a span back
// from now such as 2h or 7d.
type past struct{ time.Time }

// UnmarshalText reads one.
func (t *past) UnmarshalText(text []byte) (err error) {
	t.Time, err = moment(string(text), -1)
	return err
}

// future is a flag's moment that lies ahead: a time of RFC 3339, or a span from
// now on.
type future struct{ time.Time }

// UnmarshalText reads one.
func (t *future) UnmarshalText(text []byte) (err error) {
	t.Time, err = moment(string(text), 1)
	return err
}

// moment reads a time, or a span from now in a direction.
func moment(text string, direction time.Duration) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	var d config.Duration
	if err := d.UnmarshalText([]byte(text)); err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("%q is not a time; write one such as 2026-01-31T08:00:00Z, or a span such as 90s, 2h or 7d", text)
	}
	return time.Now().Add(direction * d.Std()), nil
}

// pointer is nil for a moment that is not set.
func pointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// stampForm is how times are shown to people: to be copied into --since.
const stampForm = "2006-01-02T15:04:05Z"

// when shows a time both ways, "" for none.
func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(stampForm) + " (" + relative(time.Until(*t)) + ")"
}

// relative says how far off something is.
func relative(d time.Duration) string {
	ahead := d > 0
	if !ahead {
		d = -d
	}
	text := ""
	switch {
	case d < time.Second:
		return "now"
	case d < 2*time.Minute:
		text = fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		text = fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		text = fmt.Sprintf("%d h", d/time.Hour)
	default:
		text = fmt.Sprintf("%d d", d/(24*time.Hour))
	}
	if ahead {
		return "in " + text
	}
	return text + " ago"
}
