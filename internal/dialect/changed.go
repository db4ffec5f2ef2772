package dialect

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// changedAttributes is the member by which a producer says what has changed.
const changedAttributes = "changed_attributes"

// changed writes which members of the data have changed (PS-D2): what the
// producer says of it, or else the names of those that differ between the
// object before and the data, as they were published; [] if nothing is known.
func (b *body) changed(dst []byte) []byte {
	w := writer{style: b.rule.style}
	if raw, ok := memberOf(b.data, changedAttributes); ok {
		return w.value(dst, raw)
	}
	dst = append(dst, '[')
	open := len(dst)
	add := func(name []byte) {
		if len(dst) > open {
			dst = append(dst, ',')
		}
		dst = w.string(dst, name)
	}
	if isObject(b.event.Previous) && isObject(b.event.Data) {
		now, before := byName(b.event.Data), byName(b.event.Previous)
		for name := range members(b.event.Data) {
			key := textOf(name)
			value, first := now[key]
			if !first {
				continue
			}
			delete(now, key)
			old, had := before[key]
			delete(before, key)
			if !had || !sameJSON(value, old, 0) {
				add(name)
			}
		}
		for name := range members(b.event.Previous) {
			if key := textOf(name); before[key] != nil && key != changedAttributes {
				delete(before, key)
				add(name)
			}
		}
	}
	return append(dst, ']')
}

func isObject(b []byte) bool {
	i := skipSpace(b, 0)
	return i < len(b) && b[i] == '{'
}

// byName are an object's values; of a name that stands twice the last one.
func byName(object []byte) map[string][]byte {
	out := map[string][]byte{}
	for name, value := range members(object) {
		out[textOf(name)] = value
	}
	return out
}

// textOf is the text of a JSON string.
func textOf(raw []byte) string {
	text, _ := appendText(nil, raw)
	return string(text)
}

// sameDepth is how deep sameJSON looks: each level reads all below it again.
const sameDepth = 100

// sameJSON reports whether two values are equal, however they are written:
// numbers by their value, objects whatever the order of their members. What
// lies deeper than sameDepth must be written in the same way.
func sameJSON(a, b []byte, depth int) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if depth == sameDepth {
		return false
	}
	x, y := jsontext.Value(a).Kind(), jsontext.Value(b).Kind()
	if x != y {
		return false
	}
	switch x {
	case '"':
		return textOf(a) == textOf(b)
	case '0':
		return sameNumber(string(a), string(b))
	case '{':
		in, other := byName(a), byName(b)
		if len(in) != len(other) {
			return false
		}
		for name, value := range in {
			if old, ok := other[name]; !ok || !sameJSON(value, old, depth+1) {
				return false
			}
		}
		return true
	case '[':
		return sameList(a, b, depth)
	}
	return true
}

func sameList(a, b []byte, depth int) bool {
	i, j := skipSpace(a, 1), skipSpace(b, 1)
	for i < len(a) && j < len(b) && a[i] != ']' && b[j] != ']' {
		endA, endB := valueEnd(a, i), valueEnd(b, j)
		if !sameJSON(a[i:endA], b[j:endB], depth+1) {
			return false
		}
		i, j = nextElement(a, endA), nextElement(b, endB)
	}
	return i < len(a) && j < len(b) && a[i] == b[j]
}

// sameNumber compares the values of two JSON numbers, however large.
func sameNumber(a, b string) bool {
	negA, digitsA, expA := decimal(a)
	negB, digitsB, expB := decimal(b)
	return digitsA == digitsB && (digitsA == "" || negA == negB && expA == expB)
}

// decimal is a number as 0.digits × 10^exp, digits without zeros at either end;
// none for 0. An exponent too large for an int64 is cut.
func decimal(s string) (negative bool, digits string, exp int64) {
	s, negative = strings.CutPrefix(s, "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(s), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exp = clampedInt(power) + int64(len(whole))
	digits = strings.TrimLeft(whole+fraction, "0")
	exp -= int64(len(whole) + len(fraction) - len(digits))
	return negative, strings.TrimRight(digits, "0"), exp
}

// clampedInt reads the exponent of a number.
func clampedInt(s string) int64 {
	const most = 1 << 60 // so that adding a length does not overflow
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case s == "":
		return 0
	case err != nil && s[0] == '-' || n < -most:
		return -most
	case err != nil || n > most:
		return most
	}
	return n
}
