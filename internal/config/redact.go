package config

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// hidden is what settings show of themselves as a whole: Values shows them one by one,
// without secrets.
const hidden = "[settings]"

// Format hides the settings, keys and passwords among them, from fmt (case 105).
func (c Config) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// MarshalJSON hides the settings from JSON.
func (c Config) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// LogValue hides the settings from slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(hidden) }

// withoutUser is a URL as it may be shown: a user name and password in it are
// "[secret]". It also takes texts that are no URL, and rather hides too much:
// a password may hold any character.
func withoutUser(raw string) string {
	start := strings.Index(raw, "://")
	if start += len("://"); start < len("://") {
		start = 0
	}
	if at := strings.LastIndexByte(raw[start:], '@'); at >= 0 {
		return raw[:start] + "[secret]" + raw[start+at:]
	}
	return raw
}

// withoutPassword is a database's URL as it may be shown: with the user's name, for
// that helps, but without passwords, also those among its parameters. It takes any
// text, as withoutUser does: all from the first colon to the last sign of an address may
// be the password, if there is such.
func withoutPassword(raw string) string {
	start := 0
	if i := strings.Index(raw, "://"); i >= 0 {
		start = i + len("://")
	}
	at := strings.LastIndexByte(raw, '@')
	if at < start || !strings.Contains(raw[start:at], ":") {
		place, query, has := strings.Cut(raw, "?")
		if !has {
			return place
		}
		return place + "?" + withoutPasswords(query)
	}
	shown := raw[:start+strings.IndexByte(raw[start:], ':')] + ":[secret]"
	rest := raw[at:]
	last := raw[strings.LastIndexAny(raw[:at], "?&")+1:]
	if name, _, set := strings.Cut(last, "="); set && strings.Contains(strings.ToLower(name), "password") { // the sign is in it
		_, rest, _ = strings.Cut(rest, "&")
		return shown + "&" + withoutPasswords(rest)
	}
	place, query, has := strings.Cut(rest, "?")
	if !has {
		return shown + place
	}
	return shown + place + "?" + withoutPasswords(query)
}

// withoutPasswords hides the passwords among parameters.
func withoutPasswords(query string) string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, set := strings.Cut(pair, "="); set && strings.Contains(strings.ToLower(name), "password") {
			pairs[i] = name + "=[secret]"
		}
	}
	return strings.Join(pairs, "&")
}

// ShownStore is Store as it may be logged and shown.
func (c *Config) ShownStore() string { return withoutPassword(c.Store) }
