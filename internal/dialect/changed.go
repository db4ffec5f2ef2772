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
			if !had || !sameJSON(m.value, before.list[i].value) {
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

// sameJSON reports whether two values are equal, however they are written:
// numbers by their value, objects whatever the order of their members. It goes
// over either once, however deep they are.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, y := nodesOf(a), nodesOf(b)
	return len(x.list) > 0 && len(y.list) > 0 && x.same(&y, 0, 0)
}

// nodes are all values and names of a JSON text, each before what is in it, so
// that nobody has to look for the end of a value again.
type nodes struct {
	text []byte
	list []node
}

type node struct {
	from, to int // in the text
	next     int // the place in the list behind all that is in it
}

func nodesOf(b []byte) nodes {
	n := nodes{text: b}
	var open []int // places of the objects and lists that are not closed yet
	shut := func(end int) {
		last := open[len(open)-1]
		open = open[:len(open)-1]
		n.list[last].to, n.list[last].next = end, len(n.list)
	}
	for i := 0; i < len(b); {
		from := i
		switch c := b[i]; {
		case c == '{' || c == '[':
			i++
			open = append(open, len(n.list))
			n.list = append(n.list, node{from: from})
			continue
		case c == '}' || c == ']':
			if i++; len(open) > 0 {
				shut(i)
			}
			continue
		case c == ',' || c == ':' || isSpace(c):
			i++
			continue
		case c == '"':
			i = stringEnd(b, i)
		default:
			i = scalarEnd(b, i)
		}
		n.list = append(n.list, node{from, i, len(n.list) + 1})
	}
	for len(open) > 0 {
		shut(len(b))
	}
	return n
}

func (n *nodes) raw(i int) []byte { return n.text[n.list[i].from:n.list[i].to] }

// object are the places of an object's values by their names; of a name that
// stands twice the last counts.
func (n *nodes) object(i int) map[string]int {
	out := map[string]int{}
	for name := i + 1; name+1 < n.list[i].next; name = n.list[name+1].next {
		out[textOf(n.raw(name))] = name + 1
	}
	return out
}

// same compares the value at i with that of another text at j.
func (n *nodes) same(o *nodes, i, j int) bool {
	a, b := n.raw(i), o.raw(j)
	kind := jsontext.Value(a[:1]).Kind() // of the first byte: it would look at the rest
	if kind != jsontext.Value(b[:1]).Kind() {
		return false
	}
	switch kind {
	case '"':
		return textOf(a) == textOf(b)
	case '0':
		return sameNumber(string(a), string(b))
	case '{':
		x, y := n.object(i), o.object(j)
		for name, at := range x {
			if k, ok := y[name]; !ok || !n.same(o, at, k) {
				return false
			}
		}
		return len(x) == len(y)
	case '[':
		x, y := i+1, j+1
		for x < n.list[i].next && y < o.list[j].next {
			if !n.same(o, x, y) {
				return false
			}
			x, y = n.list[x].next, o.list[y].next
		}
		return x == n.list[i].next && y == o.list[j].next
	}
	return true
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
