package filter

import (
	"encoding/json"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// Numbers compare as the fractions that they are.
func TestDecimals(t *testing.T) {
	t.Parallel()
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, ok1 := decimalOf(json.Number(a))
		y, ok2 := decimalOf(json.Number(b))
		p, ok3 := new(big.Rat).SetString(a)
		q, ok4 := new(big.Rat).SetString(b)
		if !ok1 || !ok2 || !ok3 || !ok4 {
			t.Fatalf("%s and %s: %v %v %v %v", a, b, ok1, ok2, ok3, ok4)
		}
		if got, want := x.compare(y), p.Cmp(q); got != want {
			t.Fatalf("%s and %s: %d, want %d", a, b, got, want)
		}
		if (x == y) != (p.Cmp(q) == 0) {
			t.Fatalf("%s and %s: %+v and %+v", a, b, x, y)
		}
	})
	for a, b := range map[string]string{"1e999999999": "1e1000000000", "-1e1000000000": "1e-1000000000", "0": "1e-999999999", "-0": "0.1"} {
		x, _ := decimalOf(json.Number(a))
		y, _ := decimalOf(json.Number(b))
		if x.compare(y) != -1 || y.compare(x) != 1 {
			t.Errorf("%s is not below %s", a, b)
		}
	}
	for _, long := range []json.Number{"1e99999999999999999999", "10000000000000000000000000000000000000000000000000000000000000000001"} {
		if _, ok := decimalOf(long); ok {
			t.Errorf("%s is read", long)
		}
	}
}
