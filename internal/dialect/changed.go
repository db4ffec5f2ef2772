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
		now, before := namedOf(b.event.Data), namedOf(b.event.Previous)
		for _, m := range now.list {
			i, had := before.at[m.key]
			if !had || !sameJSON(m.value, before.list[i].value, 0) {
				add(m.name)
			}
		}
		for _, m := range before.list {
			if _, has := now.at[m.key]; !has && m.key != changedAttributes {
				add(m.name)
			}
		}
	}
	return append(dst, ']')
}

func isObject(b []byte) bool {
	i := skipSpace(b, 0)
	return i < len(b) && b[i] == '{'
}

// named are the members of an object in its order, each name once.
type named struct {
	list []namedMember
	at   map[string]int // by key
}

type namedMember struct {
	key         string // what the name says
	name, value []byte // as they are written; of a name that stands twice the last value
}

func namedOf(object []byte) named {
	out := named{at: map[string]int{}}
	for name, value := range members(object) {
		key := textOf(name)
		if i, ok := out.at[key]; ok {
			out.list[i].value = value
			continue
		}
		out.at[key] = len(out.list)
		out.list = append(out.list, namedMember{key, name, value})
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
		x, y := namedOf(a), namedOf(b)
		for _, m := range x.list {
			if i, ok := y.at[m.key]; !ok || !sameJSON(m.value, y.list[i].value, depth+1) {
				return false
			}
		}
		return len(x.list) == len(y.list)
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
