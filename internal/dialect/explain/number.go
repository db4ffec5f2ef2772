package explain

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxEmpty bounds how many empty values are tried one by one.
const maxEmpty = 32

// numberLimit is the largest body of which combinations of digits are tried,
// and maxCombinations how many of them.
const (
	numberLimit     = 8 << 10
	maxCombinations = 256
)

// addOthers adds the forms in which values themselves may have been different:
// the digits of numbers, and empty objects.
func (b *bodies) addOthers(doc *node) {
	const anew = "the body was written anew: "
	plain := style{name: "compact"}
	compact := string(doc.write(plain))
	for _, f := range []struct {
		name   string
		kind   Kind
		change func(*node) *node
	}{
		{"signed was {} where [] stands now", JSONEmpty, swapEmpty("[]", "{}")},
		{"signed was [] where {} stands now", JSONEmpty, swapEmpty("{}", "[]")},
		{"signed were the digits that JavaScript writes", JSONNumbers, numbersBy(jsNumber)},
		{"signed were the digits that PHP writes", JSONNumbers, numbersBy(phpNumber)},
		{"signed were its integers with a decimal", JSONNumbers, numbersBy(func(n string) string { return decimals(n, 1) })},
		{"signed were its numbers with two decimals", JSONNumbers, numbersBy(func(n string) string { return decimals(n, 2) })},
	} {
		other := doc.mapped(f.change)
		if string(other.write(plain)) == compact {
			continue
		}
		for _, e := range escapes {
			if e.write == nil {
				b.addAlone(other.write(plain), anew+f.name, f.kind)
			} else {
				b.addAlone(other.write(style{escape: e.write}), anew+f.name+", and "+e.name, f.kind, JSONEscapes)
			}
		}
	}
	for _, one := range doc.empties(nil) {
		one.open = '{' + '[' - one.open
		b.addAlone(doc.write(plain), anew+"signed was "+string([]byte{one.open, one.open + 2})+" in a place where the other kind of brackets stands now", JSONEmpty)
		one.open = '{' + '[' - one.open
	}
	numbers := doc.numbers(nil)
	if n := len(numbers); n == 0 || n > 10 || len(doc.write(plain)) > numberLimit {
		return
	}
	before := make([]string, len(numbers))
	alternatives := make([][]string, len(numbers))
	count := 1
	for i, n := range numbers {
		before[i], alternatives[i] = n.raw, digitsBefore(n.raw)
		if count *= len(alternatives[i]); count > maxCombinations {
			return
		}
	}
	for at := 1; at < count; at++ { // 0 is as they came
		for i, rest := 0, at; i < len(numbers); i++ {
			numbers[i].raw = alternatives[i][rest%len(alternatives[i])]
			rest /= len(alternatives[i])
		}
		b.addAlone(doc.write(plain), anew+"signed were other digits of its numbers, such as "+difference(before, numbers), JSONNumbers)
	}
	for i, n := range numbers {
		n.raw = before[i]
	}
}

func (b *bodies) addAlone(body []byte, detail string, kinds ...Kind) {
	n := len(b.out)
	b.add(body, detail, kinds...)
	for i := n; i < len(b.out); i++ {
		b.out[i].alone = true
	}
}

// difference shows the first number that was another one.
func difference(before []string, now []*node) string {
	for i, n := range now {
		if n.raw != before[i] {
			return n.raw + " for " + before[i]
		}
	}
	return "these"
}

// digitsBefore are the ways in which a number may have been written before it
// was parsed and written anew: trailing zeros are what gets lost.
func digitsBefore(raw string) []string {
	out := []string{raw}
	for _, other := range []string{decimals(raw, 1), decimals(raw, 2)} {
		if !slices.Contains(out, other) {
			out = append(out, other)
		}
	}
	return out
}

// decimals writes a number with at least so many decimals.
func decimals(raw string, n int) string {
	if strings.ContainsAny(raw, "eE") {
		return raw
	}
	whole, fraction, _ := strings.Cut(raw, ".")
	if len(fraction) >= n {
		return raw
	}
	return whole + "." + fraction + strings.Repeat("0", n-len(fraction))
}

// jsNumber writes a number as JSON.stringify(JSON.parse(raw)) does.
func jsNumber(raw string) string {
	f, err := strconv.ParseFloat(raw, 64)
	switch {
	case err != nil:
		return "null" // Infinity
	case f == 0:
		return "0" // -0 too
	case math.Abs(f) >= 1e21 || math.Abs(f) < 1e-6:
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
		return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// phpNumber writes a number as json_encode(json_decode(raw)) does.
func phpNumber(raw string) string {
	if _, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return raw
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		return raw // json_encode fails
	}
	if a := math.Abs(f); f != 0 && (a >= 1e15 || a < 1e-4) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
		return decimals(mantissa, 1) + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
	}
	return decimals(strconv.FormatFloat(f, 'f', -1, 64), 1)
}

// mapped is the document with its scalars and empty values changed.
func (n *node) mapped(change func(*node) *node) *node {
	out := *n
	out.items, out.members = nil, nil
	for _, i := range n.items {
		out.items = append(out.items, i.mapped(change))
	}
	for _, m := range n.members {
		out.members = append(out.members, member{name: m.name, value: m.value.mapped(change)})
	}
	return change(&out)
}

func numbersBy(write func(string) string) func(*node) *node {
	return func(n *node) *node {
		if n.isNumber() {
			return &node{raw: write(n.raw)}
		}
		return n
	}
}

func swapEmpty(from, to string) func(*node) *node {
	return func(n *node) *node {
		if n.open == from[0] && len(n.items)+len(n.members) == 0 {
			return &node{open: to[0]}
		}
		return n
	}
}

func (n *node) isNumber() bool {
	return n.open == 0 && !n.isText && n.raw != "" && (n.raw[0] == '-' || n.raw[0] >= '0' && n.raw[0] <= '9')
}

// numbers gathers the numbers of a document.
func (n *node) numbers(out []*node) []*node {
	if n.isNumber() {
		return append(out, n)
	}
	for _, i := range n.items {
		out = i.numbers(out)
	}
	for _, m := range n.members {
		out = m.value.numbers(out)
	}
	return out
}

// empties gathers the empty objects and lists of a document.
func (n *node) empties(out []*node) []*node {
	if n.open != 0 && len(n.items)+len(n.members) == 0 && len(out) < maxEmpty {
		return append(out, n)
	}
	for _, i := range n.items {
		out = i.empties(out)
	}
	for _, m := range n.members {
		out = m.value.empties(out)
	}
	return out
}
