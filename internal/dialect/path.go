package dialect

import (
	"bytes"
	"iter"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The functions here walk over JSON as it lies, without decoding it. They
// expect valid JSON; of anything else they make something, but end.

// valueAt finds the value at a dotted path, as it is written. Where a name
// stands twice in an object the last one counts, as it does in PHP and
// JavaScript. A path goes through objects alone: the members of a list have no
// names.
func valueAt(b []byte, path string) (raw []byte, ok bool) {
	raw = trimSpace(b)
	for rest := path; ; {
		name, tail, more := strings.Cut(rest, ".")
		if raw, ok = memberOf(raw, name); !ok || !more {
			return raw, ok
		}
		rest = tail
	}
}

// memberOf finds the last member of an object that has this name.
func memberOf(object []byte, name string) (raw []byte, ok bool) {
	for n, value := range members(object) {
		if isName(n, name) {
			raw, ok = value, true
		}
	}
	return raw, ok
}

// members are the names, in their quotes, and the values of an object, as they
// are written and in that order; none if it is no object.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		b := object
		i := skipSpace(b, 0)
		if i >= len(b) || b[i] != '{' {
			return
		}
		for i = skipSpace(b, i+1); i < len(b) && b[i] == '"'; i = nextElement(b, i) {
			name, from := memberAt(b, i)
			if i = valueEnd(b, from); !yield(name, b[from:i]) {
				return
			}
		}
	}
}

// memberAt reads the name that begins at i and finds the place of its value.
func memberAt(b []byte, i int) (name []byte, value int) {
	end := stringEnd(b, i)
	return b[i:end], min(skipSpace(b, skipSpace(b, end)+1), len(b)) // behind the colon
}

// nextElement is the place of the member or element behind the one that ends
// at i, or of the bracket that closes them all.
func nextElement(b []byte, i int) int {
	if i = skipSpace(b, i); i < len(b) && b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	return i
}

// isName compares a JSON string as it is written with a text.
func isName(raw []byte, name string) bool {
	if len(raw) < 2 {
		return false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner) == name
	}
	if len(raw) > 6*len(name)+2 { // the longest escape of a byte has six
		return false
	}
	var buf [64]byte
	text, _ := jsontext.AppendUnquote(buf[:0], raw)
	return string(text) == name
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// skipSpace is the first place from i on that is no white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

func trimSpace(b []byte) []byte { return bytes.Trim(b, " \n\r\t") }

// stringEnd is the place behind the string that begins at i.
func stringEnd(b []byte, i int) int {
	i++
	for near := min(i+32, len(b)); i < near; i++ { // most are short
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	for i < len(b) {
		k := bytes.IndexByte(b[i:], '"')
		if k < 0 {
			break
		}
		quote := i + k
		for i < quote { // over the escapes, the last of which may be the quote's
			e := bytes.IndexByte(b[i:quote], '\\')
			if e < 0 {
				i = quote
				break
			}
			i += e + 2
		}
		if i == quote {
			return quote + 1
		}
	}
	return len(b)
}

// valueEnd is the place behind the value that begins at i.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
	default:
		return scalarEnd(b, i)
	}
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return len(b)
}

// scalarEnd is the place behind the number, true, false or null that begins
// at i.
func scalarEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case ',', ':', ']', '}', '"', '[', '{', ' ', '\n', '\r', '\t':
			return i
		}
	}
	return i
}

// appendText writes a JSON value as the text that it is: a string without its
// quotes and escapes, a number, true or false. null, an object and a list are
// no text.
func appendText(dst, raw []byte) (out []byte, ok bool) {
	if len(raw) == 0 {
		return dst, false
	}
	switch raw[0] {
	case '"':
		if inner := raw[1:max(len(raw)-1, 1)]; bytes.IndexByte(inner, '\\') < 0 {
			return append(dst, inner...), true
		}
		dst, _ = jsontext.AppendUnquote(dst, raw)
		return dst, true
	case '{', '[', 'n':
		return dst, false
	}
	return append(dst, raw...), true
}
