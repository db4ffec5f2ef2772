package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Duration is a time span that also understands days: "90s", "36h", "30d".
type Duration time.Duration

// Std is the span as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes whole days as "30d" and anything else as Go does, but for
// units of which there are none: "2m", not "2m0s".
func (d Duration) String() string {
	if d != 0 && d%Duration(day) == 0 {
		return strconv.FormatInt(int64(d/Duration(day)), 10) + "d"
	}
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText writes what String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what String writes, and every duration that Go reads.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if n, ok := strings.CutSuffix(s, "d"); ok {
		days, err := strconv.ParseInt(n, 10, 64)
		if err == nil && days >= 0 && days <= int64(math.MaxInt64/day) {
			*d = Duration(time.Duration(days) * day)
			return nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a time span; write a number with a unit, such as 30s, 24h or 30d", s)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes: "65536", "512KiB", "1MiB", "2MB".
type Size int64

var units = []struct {
	suffix string
	factor int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// String writes the size in the largest binary unit that leaves it whole.
func (s Size) String() string {
	for i := 2; i >= 0; i-- {
		if f := units[i].factor; s != 0 && int64(s)%f == 0 {
			return strconv.FormatInt(int64(s)/f, 10) + units[i].suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes what String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a whole number with or without a unit.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := parseSize(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a size; write a whole number of bytes, or one with a unit, such as 512KiB or 1MiB", text)
	}
	*s = Size(n)
	return nil
}

func parseSize(text string) (int64, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil {
			return 0, err
		}
		if n > math.MaxInt64/u.factor || n < math.MinInt64/u.factor {
			return 0, errors.New("out of range")
		}
		return n * u.factor, nil
	}
	return 0, errors.New("no number")
}

// Rate is a number of things in a span of time: "100/s", "6000/m", "20/h". The
// zero value is no limit, "off".
type Rate struct {
	N   int
	Per time.Duration // a second, a minute or an hour
}

// maxRate bounds the number in a Rate.
const maxRate = 1_000_000_000

// Off reports whether there is no limit.
func (r Rate) Off() bool { return r.N == 0 }

// String writes what UnmarshalText reads.
func (r Rate) String() string {
	switch r.Per {
	case time.Second:
		return strconv.Itoa(r.N) + "/s"
	case time.Minute:
		return strconv.Itoa(r.N) + "/m"
	case time.Hour:
		return strconv.Itoa(r.N) + "/h"
	}
	return "off"
}

// MarshalText writes what String does.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a number above zero with a span, or "off".
func (r *Rate) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "off" || s == "0" {
		*r = Rate{}
		return nil
	}
	number, unit, _ := strings.Cut(s, "/")
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.Atoi(number)
	if err != nil || per == 0 || n < 1 || n > maxRate {
		return fmt.Errorf("%q is not a rate; write a number for each second, minute or hour, such as 100/s, 6000/m or 20/h, or off", s)
	}
	*r = Rate{n, per}
	return nil
}
