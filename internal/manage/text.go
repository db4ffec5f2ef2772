package manage

import (
	"strings"
	"unicode/utf8"

	"grapnel/internal/hook"
)

// NoTenant is the answer for a tenant that does not exist. It reads as that
// for a tenant of somebody else (package auth).
func NoTenant(id string) error {
	return hook.Errorf(hook.CodeNotFound, "there is no tenant %q", hook.Clip(id))
}

func list(names []string) string { return strings.Join(names, ", ") }

// checkText bounds a text that people read.
func checkText(pointer, s string, limit int) error {
	if !utf8.ValidString(s) {
		return hook.Invalid(pointer, "is not valid UTF-8")
	}
	if n := utf8.RuneCountInString(s); n > limit {
		return hook.Invalid(pointer, "has %d characters, at most %d are allowed", n, limit)
	}
	return nil
}

// pointerToken writes a name as one step of a JSON pointer (RFC 6901).
func pointerToken(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
