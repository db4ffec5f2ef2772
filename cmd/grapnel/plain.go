package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hostile reports whether a character can change how a terminal shows what is
// around it: controls (and with them escape sequences), line and paragraph
// separators, and marks of writing direction. Joiners are left, for scripts and
// emoji need them.
func hostile(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = 0x200c, 0x200d
	switch {
	case r < ' ' || r == 0x7f:
		return true
	case r < utf8.RuneSelf:
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) || unicode.Is(unicode.Cf, r) && r != zeroWidthNonJoiner && r != zeroWidthJoiner
}

// plain makes a text that came from elsewhere fit to be shown in one line of a
// terminal: what could move the cursor, change colours or forge another line is
// written as an escape (case 112).
func plain(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hostile) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case hostile(r):
			writeEscape(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// writeEscape writes a character as JSON's \uXXXX.
func writeEscape(b *strings.Builder, r rune) {
	if r > 0xffff {
		high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
		fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
		return
	}
	fmt.Fprintf(b, `\u%04x`, r)
}

// escapeJSON escapes, in one line of JSON, the characters that JSON lets pass
// and a terminal obeys. They can only be inside its texts, so the value stays
// the same.
func escapeJSON(line []byte) []byte {
	body, end := strings.TrimSuffix(string(line), "\n"), "\n"
	if !strings.ContainsFunc(body, hostile) {
		return line
	}
	var b strings.Builder
	for _, r := range body {
		if hostile(r) {
			writeEscape(&b, r)
		} else {
			b.WriteRune(r)
		}
	}
	return []byte(b.String() + end)
}
