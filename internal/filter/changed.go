package filter

import "encoding/json"

// costNumber is how many steps it takes to compare two numbers that are not written
// alike.
const costNumber = 4

// changed reports whether a value of the event's data is another one than before the
// change. known is false where nothing is known of before, or where to find out is too dear.
func (s *Subject) changed(now any, there bool, path []string) (changed, known bool) {
	if len(s.event.Previous) == 0 {
		return false, false
	}
	before, was := member(s.previous, true, path)
	if there != was {
		return true, true
	}
	same := same(now, before, &s.steps)
	return !same, s.steps > 0
}

// same reports whether two values are equal: objects whatever the order of their members,
// numbers however they are written. It takes from steps what it costs, and gives up
// when nothing is left.
func same(a, b any, steps *int) bool {
	if *steps--; *steps <= 0 {
		return false
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for name, v := range x {
			w, ok := y[name]
			if !ok || !same(v, w, steps) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !same(x[i], y[i], steps) {
				return false
			}
		}
		return true
	case json.Number:
		if a == b {
			return true
		}
		*steps -= costNumber
		return *steps > 0 && equal(a, b)
	case string:
		y, ok := b.(string)
		if ok && len(x) == len(y) {
			*steps -= len(x) / 64
		}
	}
	return equal(a, b)
}
