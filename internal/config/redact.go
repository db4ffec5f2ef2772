package config

import "strings"

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
