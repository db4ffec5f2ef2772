package dialect

import (
	"strconv"
	"time"

	"grapnel/internal/hook"
)

// stampForm is how {attempt.time} is written, as RFC 3339 has it.
const stampForm = "2006-01-02T15:04:05Z"

// stamp is a placeholder that says when the attempt was.
type stamp struct {
	source source
	unit   string // of its number, for explanations
	form   string // what its text must be, for people
	read   func(text string) (at time.Time, ok bool)
}

var stamps = [...]stamp{
	{attemptUnix, "seconds", "whole Unix seconds", func(text string) (time.Time, bool) {
		n, ok := whole(text)
		return time.Unix(n, 0), ok
	}},
	{attemptUnixMs, "milliseconds", "whole Unix milliseconds", func(text string) (time.Time, bool) {
		n, ok := whole(text)
		return time.UnixMilli(n), ok
	}},
	{attemptTime, "a date", "a time such as " + stampForm, func(text string) (time.Time, bool) {
		at, err := time.Parse(stampForm, text)
		return at, err == nil && at.Format(stampForm) == text
	}},
}

// stamp is the placeholder's place in stamps; -1 if it is none.
func (s source) stamp() int {
	switch s {
	case attemptUnix:
		return 0
	case attemptUnixMs:
		return 1
	case attemptTime:
		return 2
	}
	return -1
}

// whole reads a number that is written in the one way in which we write it.
func whole(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == text
}

// checkTime checks all timestamps of the attempt that the request has.
func (s *seen) checkTime() error {
	for i, header := range s.timeIn {
		if header == "" {
			continue
		}
		if err := stamps[i].check(s.values[stamps[i].source], header, s.received); err != nil {
			return err
		}
	}
	return nil
}

func (t *stamp) check(text, header string, r *Received) error {
	at, ok := t.read(text)
	if !ok {
		return refuse(MalformedHeader, header, "the timestamp in %s is %q; it must be %s", header, hook.Clip(text), t.form)
	}
	// Time differences saturate, so a far timestamp cannot wrap round.
	age, unix := r.At.Sub(at), at.Unix()
	switch {
	case age > r.Tolerance && t.source == attemptUnixMs && unix > 0 && unix < 1e8:
		return refuse(MalformedHeader, header, "the timestamp in %s is %s: seconds, perhaps; it must be in milliseconds", header, text)
	case age > r.Tolerance && unix > 0:
		return refuse(TooOld, header, "the timestamp in %s is %s old, more than %s: an old request sent again, or the receiver's clock is fast", header, age.Round(time.Second), r.Tolerance)
	case age < -r.Tolerance && t.source == attemptUnix && unix > 1e11:
		return refuse(MalformedHeader, header, "the timestamp in %s is %s: milliseconds, perhaps; it must be in seconds", header, text)
	case age < -r.Tolerance:
		return refuse(TooNew, header, "the timestamp in %s is %s ahead, more than %s: the receiver's clock is slow", header, (-age).Round(time.Second), r.Tolerance)
	case age > r.Tolerance:
		return refuse(MalformedHeader, header, "the timestamp in %s is %s; it must be %s", header, text, t.form)
	}
	return nil
}

// stampSeen is the attempt's time as the request says it first, and where.
func (s *seen) stampSeen() (text, header, unit string) {
	for i, header := range s.timeIn {
		if header != "" {
			return s.values[stamps[i].source], header, stamps[i].unit
		}
	}
	return "", "", ""
}
