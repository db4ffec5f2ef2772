package filter

import (
	"math/rand/v2"
	"strings"
	"testing"

	"grapnel/internal/hook"
)

// slowLike matches text against a pattern of %, _ and backslash escapes, in time
// proportional to len(text) × len(pattern) at worst.
func slowLike(text, pattern string) bool {
	t, p := []rune(text), []rune(pattern)
	i, j := 0, 0
	star, mark := -1, 0 // the last % and how much of the text it has taken
	for i < len(t) {
		switch {
		case j < len(p) && p[j] == '%':
			star, mark = j, i
			j++
		case j < len(p) && p[j] == '\\' && j+1 < len(p) && p[j+1] == t[i]:
			i, j = i+1, j+2
		case j < len(p) && p[j] != '\\' && (p[j] == '_' || p[j] == t[i]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	for j < len(p) && p[j] == '%' {
		j++
	}
	return j == len(p)
}

// like says what the plain way says, of every text and pattern of few characters.
func TestLikeIsThePlainWay(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(115, 1))
	make := func(from string, n int) string {
		var b strings.Builder
		runes := []rune(from)
		for range rnd.IntN(n + 1) {
			b.WriteRune(runes[rnd.IntN(len(runes))])
		}
		return b.String()
	}
	matched := 0
	for range 300_000 {
		text, pattern := make(`abé%_\\`, 8), make(`abé%%__\\`, 7)
		got, known := like(text, split(pattern), new(maxSteps))
		want := slowLike(text, pattern)
		if !known || got != want {
			t.Fatalf("%q like %q: %v, %v, want %v", text, pattern, got, known, want)
		}
		if !strings.ContainsAny(pattern, `_\`) && plainLike(text, pattern) != want {
			t.Fatalf("%q like %q, which is plain: %v, want %v", text, pattern, !want, want)
		}
		if want {
			matched++
		}
	}
	if matched < 10_000 {
		t.Errorf("only %d matched", matched)
	}
}

// case 115: what would cost too much satisfies nothing, and is found out soon.
func TestLikeIsBounded(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a", maxText)
	if _, known := like(text, split("%"+strings.Repeat("a", 250)+"b%"), new(maxSteps)); !known {
		t.Error("a pattern without _ is given up")
	}
	if matches, known := like(text, split("%"+strings.Repeat("_", 250)+"b%"), new(maxSteps)); matches || known {
		t.Errorf("%v, %v for a pattern that has to be held against every place", matches, known)
	}
	for _, op := range []string{"like", "not_like"} {
		f, err := Parse([]byte(`{"field":"data","operator":"` + op + `","value":"%` + strings.Repeat("_", 250) + `b%"}`))
		if err != nil {
			t.Fatal(err)
		}
		if f.Match(NewSubject(&hook.Event{Type: "a", Data: []byte(`"` + text + `"`)})) {
			t.Errorf("%s is satisfied", op)
		}
	}
}
