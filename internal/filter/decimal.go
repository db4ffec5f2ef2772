package filter

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
)

// maxNumber is how long a number is that is compared by its value: a longer one only
// equals itself.
const maxNumber = 64

// decimal is a number, exactly: 0.digits times ten to the power of point. Equal
// numbers are equal decimals, however they were written; to compare two takes no
// more than reading their digits, whatever their exponents.
type decimal struct {
	negative bool
	digits   string // without zeros at either end; "": the number is 0
	point    int
}

// decimalOf reads a number as JSON has it.
func decimalOf(n json.Number) (d decimal, ok bool) {
	text := string(n)
	if len(text) > maxNumber {
		return d, false
	}
	text, d.negative = strings.CutPrefix(text, "-")
	exponent := 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(text[i+1:]); err != nil || exponent > 1<<40 || exponent < -1<<40 {
			return d, false
		}
		text = text[:i]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits := whole
	if fraction != "" {
		digits += fraction
	}
	trimmed := strings.TrimLeft(digits, "0")
	d.point = len(whole) - (len(digits) - len(trimmed)) + exponent
	if d.digits = strings.TrimRight(trimmed, "0"); d.digits == "" {
		return decimal{}, true
	}
	return d, true
}

// compare is -1, 0 or 1.
func (d decimal) compare(other decimal) int {
	sign := func(x decimal) int {
		switch {
		case x.digits == "":
			return 0
		case x.negative:
			return -1
		}
		return 1
	}
	a, b := sign(d), sign(other)
	if a != b || a == 0 {
		return cmp.Compare(a, b)
	}
	order := strings.Compare(d.digits, other.digits)
	if d.point != other.point {
		order = 1
		if d.point < other.point {
			order = -1
		}
	}
	return a * order
}

// scalarKey is a text, number, true, false or null such that equal ones have equal keys.
type scalarKey struct {
	kind   byte
	text   string
	number decimal
}

func keyOf(v any) scalarKey {
	switch v := v.(type) {
	case string:
		return scalarKey{kind: 's', text: v}
	case json.Number:
		if d, ok := decimalOf(v); ok {
			return scalarKey{kind: 'n', number: d}
		}
		return scalarKey{kind: 'l', text: string(v)}
	case bool:
		if v {
			return scalarKey{kind: 't'}
		}
		return scalarKey{kind: 'f'}
	case nil:
		return scalarKey{kind: '0'}
	}
	return scalarKey{} // an object or a list, which is in no list
}
