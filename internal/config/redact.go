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
// text, as withoutUser does.
func withoutPassword(raw string) string {
	user := 0 // where the user's name and password end, which may hold a question mark
	if start := strings.Index(raw, "://") + len("://"); start >= len("://") {
		first := strings.IndexAny(raw[start:], "@/")
		if first >= 0 && strings.Contains(raw[start:start+first], ":") { // of a port, or of a password
			user = max(0, strings.LastIndexByte(raw, '@'))
		}
	}
	place, query, has := strings.Cut(raw[user:], "?")
	place = raw[:user] + place
	if at := strings.LastIndexByte(place, '@'); at >= 0 {
		start := 0
		if i := strings.Index(place, "://"); i >= 0 {
			start = i + len("://")
		}
		if colon := strings.IndexByte(place[start:max(start, at)], ':'); colon >= 0 {
			place = place[:start+colon] + ":[secret]" + place[at:]
		}
	}
	if !has {
		return place
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, set := strings.Cut(pair, "="); set && strings.Contains(strings.ToLower(name), "password") {
			pairs[i] = name + "=[secret]"
		}
	}
	return place + "?" + strings.Join(pairs, "&")
}

// ShownStore is Store as it may be logged and shown.
func (c *Config) ShownStore() string { return withoutPassword(c.Store) }
