package dialect

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// style is how JSON is written: its escapes and its white space. The digits of
// a number, the order of keys, and whether {} is an object never change.
type style uint8

const (
	verbatim style = iota // as it was published
	compact               // without white space
	styleJS               // as JSON.stringify writes it
	stylePHP              // as PHP's json_encode writes it by default
)

var styles = map[string]style{"verbatim": verbatim, "compact": compact, "js": styleJS, "php": stylePHP}

// quote writes a text as a JSON string, without the quotes around it.
func (s style) quote(dst, text []byte) []byte {
	if s < styleJS {
		from := len(dst)
		dst, _ = jsontext.AppendQuote(dst, text) // an error tells of bad UTF-8, which it has replaced
		return append(dst[:from], dst[from+1:len(dst)-1]...)
	}
	for i := 0; i < len(text); {
		if n := s.run(text[i:]); n > 0 {
			dst = append(dst, text[i:i+n]...)
			i += n
			continue
		}
		r, n := utf8.DecodeRune(text[i:]) // what is no UTF-8 becomes U+FFFD
		dst = s.rune(dst, r)
		i += n
	}
	return dst
}

// string writes a JSON string that is written in any way, quotes included.
func (s style) string(dst, raw []byte) []byte {
	if s < styleJS || len(raw) < 2 {
		return append(dst, raw...)
	}
	dst = append(dst, '"')
	for b := raw[1 : len(raw)-1]; len(b) > 0; {
		if n := s.run(b); n > 0 {
			dst = append(dst, b[:n]...)
			b = b[n:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		if r == '\\' {
			r, n = unescape(b)
		}
		dst = s.rune(dst, r)
		b = b[n:]
	}
	return append(dst, '"')
}

// run is how many bytes at the beginning are written as they are.
func (s style) run(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch rewritten[b[i]] {
		case inAll:
			return i
		case inPHP:
			if s == stylePHP {
				return i
			}
		case notASCII:
			if s == stylePHP {
				return i
			}
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return i
			}
			i += n - 1
		}
	}
	return len(b)
}

// rewritten says of each byte which styles write it in another way.
var rewritten = func() (t [256]change) {
	for c := range t {
		switch {
		case c < ' ' || c == '"' || c == '\\':
			t[c] = inAll
		case c == '/':
			t[c] = inPHP
		case c >= utf8.RuneSelf:
			t[c] = notASCII
		}
	}
	return t
}()

// change is whether a byte within a string is written in another way.
type change uint8

const (
	inNone change = iota
	inAll
	inPHP
	notASCII // the character decides
)

// unescape reads the escape at the beginning, two that are a pair as one. A
// half of a pair alone is what it is.
func unescape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return utf8.RuneError, len(b)
	}
	switch c := b[1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		high, ok := hex4(b)
		if !ok {
			return utf8.RuneError, 2
		}
		if high>>10 == 0xd800>>10 {
			if low, ok := hex4(b[6:]); ok && low>>10 == 0xdc00>>10 {
				return (high-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
			}
		}
		return high, 6
	default:
		return rune(c), 2
	}
}

// hex4 reads \uXXXX.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		var d byte
		switch {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			d = (c | 0x20) - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

const hexDigits = "0123456789abcdef"

// rune writes one character within a string.
func (s style) rune(dst []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\' || r == '/' && s == stylePHP:
		return append(dst, '\\', byte(r))
	case r == '\b':
		return append(dst, `\b`...)
	case r == '\f':
		return append(dst, `\f`...)
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\r':
		return append(dst, `\r`...)
	case r == '\t':
		return append(dst, `\t`...)
	case r < ' ' || r >= 0xd800 && r < 0xe000:
		return escape(dst, r)
	case s == stylePHP && r >= 0x10000:
		r -= 0x10000
		return escape(escape(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
	case s == stylePHP && r >= utf8.RuneSelf:
		return escape(dst, r)
	}
	return utf8.AppendRune(dst, r)
}

func escape(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// writer writes JSON in a style.
type writer struct {
	style
	ids bool // identifiers that are numbers become strings
}

// value writes a JSON value. It goes over the bytes once and looks at strings
// alone, so it knows no depth. What stays as it is, is copied in stretches:
// from start on nothing has been written yet.
func (w writer) value(dst, b []byte) []byte {
	if w.style == verbatim && !w.ids {
		return append(dst, b...)
	}
	start := 0
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			from := i
			if i = w.plainEnd(b, from); i < 0 {
				i = stringEnd(b, from)
				dst = append(dst, b[start:from]...)
				dst = w.string(dst, b[from:i])
				start = i
			}
			if !w.ids {
				continue
			}
			colon := skipSpace(b, i)
			if colon >= len(b) || b[colon] != ':' || !isRawID(b[from:i]) {
				continue
			}
			if from = skipSpace(b, colon+1); startsNumber(b[from:]) || startsList(b[from:]) {
				dst = append(dst, b[start:i]...)
				dst = w.gap(dst, b[i:from])
				dst, i = w.identifiers(dst, b, from)
				start = i
			}
		case isSpace(c) && w.style != verbatim:
			dst = append(dst, b[start:i]...)
			i = skipSpace(b, i)
			start = i
		default:
			i++
		}
	}
	return append(dst, b[start:]...)
}

// plainEnd is the place behind the string that begins at i if the style writes
// it as it stands, else negative.
func (w writer) plainEnd(b []byte, i int) int {
	if w.style < styleJS {
		return stringEnd(b, i)
	}
	if i++; i < len(b) {
		if i += w.run(b[i:]); i < len(b) && b[i] == '"' {
			return i + 1
		}
	}
	return -1
}

// gap writes what stands between a name and its value.
func (w writer) gap(dst, b []byte) []byte {
	if w.style == verbatim {
		return append(dst, b...)
	}
	return append(dst, ':')
}

// member writes the value of a member, whose name may be that of an identifier.
func (w writer) member(dst []byte, id bool, value []byte) []byte {
	i := 0
	if w.ids && id && (startsNumber(value) || startsList(value)) {
		dst, i = w.identifiers(dst, value, 0)
	}
	return w.value(dst, value[i:])
}

// identifiers writes a number, or the numbers of the list that begins there, as
// strings, and says where it stopped: at the end, or at an object in the list.
func (w writer) identifiers(dst, b []byte, i int) (out []byte, end int) {
	for depth := 0; i < len(b) && b[i] != '{'; {
		from, c := i, b[i]
		switch {
		case startsNumber(b[i:]):
			i = scalarEnd(b, i)
			dst = append(append(append(dst, '"'), b[from:i]...), '"')
		case c == '"':
			i = stringEnd(b, i)
			dst = w.string(dst, b[from:i])
		case isSpace(c):
			i = skipSpace(b, i)
			if w.style == verbatim {
				dst = append(dst, b[from:i]...)
			}
		default:
			if i++; c == '[' {
				depth++
			} else if c == ']' {
				depth--
			}
			dst = append(dst, c)
		}
		if depth == 0 {
			break
		}
	}
	return dst, i
}

func startsList(b []byte) bool { return len(b) > 0 && b[0] == '[' }

func startsNumber(b []byte) bool {
	return len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9')
}

// IsID reports whether a name is that of an identifier, or of several (A2-D2).
func IsID(name string) bool {
	name = strings.TrimSuffix(name, "s")
	return name == "id" || strings.HasSuffix(name, "_id")
}

// isRawID is IsID for a name in its quotes.
func isRawID(raw []byte) bool {
	if bytes.IndexByte(raw, '\\') >= 0 {
		return IsID(textOf(raw))
	}
	name := bytes.TrimSuffix(raw[1:max(len(raw)-1, 1)], []byte("s"))
	return string(name) == "id" || bytes.HasSuffix(name, []byte("_id"))
}
