package vendortest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"grapnel/internal/dialect/dialecttest"
)

// Data is the corpus of event data that receivers get: every special case of
// JSON whose root is an object, and objects of a megabyte.
func Data() []string {
	var out []string
	for _, s := range dialecttest.Special() {
		if strings.HasPrefix(string(s.Event.Data), "{") {
			out = append(out, string(s.Event.Data))
		}
	}
	for _, unit := range []string{"x", "ü", "😀", `\/`} {
		out = append(out, `{"id":86,"text":"`+strings.Repeat(unit, (1<<20-64)/len(unit))+`"}`)
	}
	return append(out,
		`{"url":"https://example.com/a/b?c=<d>&e='f'","slash":"https:\/\/example.com\/x"}`,
		`{"id":"86","name":"test product","tags":[],"more":{},"price":19.90,"big":12345678901234567}`,
	)
}

// flips is in how many places a body is changed, one at a time.
const flips = 12

// Tamper sends requests that the receiver took once more, each with one thing
// changed, and wants every one of them refused: a byte of the body, a byte of
// each header that signed names (lower case; a name that ends in "-" stands for
// all with that prefix), a header of these left out. It returns how many it
// sent.
func (p *Tap) Tamper(requests []Seen, signed ...string) (sent int) {
	p.t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	refused := func(s Seen, what string) {
		p.t.Helper()
		status, err := s.sendTo(p.receiver)
		switch sent++; {
		case err != nil:
			p.t.Errorf("%s: %v", what, err)
		case status < 300:
			p.t.Errorf("%s: answered %d, want a refusal", what, status)
		}
	}
	for i, s := range requests {
		at := rng.Perm(len(s.Body))
		for _, n := range at[:min(flips, len(at))] {
			changed := s
			changed.Body = slices.Clone(s.Body)
			changed.Body[n] ^= 1
			refused(changed, fmt.Sprintf("request %d with byte %d of its body changed", i, n))
		}
		for n, line := range s.Header {
			name, value, _ := strings.Cut(line, ": ")
			if !isSigned(name, signed) {
				continue
			}
			without := s
			without.Header = slices.Delete(slices.Clone(s.Header), n, n+1)
			refused(without, fmt.Sprintf("request %d without %s", i, name))
			changed := s
			changed.Header = slices.Clone(s.Header)
			changed.Header[n] = name + ": " + change(value, rng)
			refused(changed, fmt.Sprintf("request %d with a byte of %s changed", i, name))
		}
	}
	return sent
}

func isSigned(name string, signed []string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(signed, func(s string) bool {
		return name == s || strings.HasSuffix(s, "-") && strings.HasPrefix(name, s)
	})
}

// change replaces one character of a header's value by another that may stand
// there.
func change(value string, rng *rand.Rand) string {
	if value == "" {
		return "x"
	}
	b := []byte(value)
	n := rng.IntN(len(b))
	for old := b[n]; b[n] == old; {
		b[n] = "0123456789abcdefghijklmnopqrstuvwxyz"[rng.IntN(36)]
	}
	return string(b)
}

// Replay sends requests to another receiver and returns the statuses.
func Replay(t testing.TB, requests []Seen, receiver string) (statuses []int) {
	t.Helper()
	for _, s := range requests {
		status, err := s.sendTo(receiver)
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// NoneTaken wants all of some requests refused by a receiver that has another
// secret.
func NoneTaken(t testing.TB, requests []Seen, receiver string) {
	t.Helper()
	for i, status := range Replay(t, requests, receiver) {
		if status < 300 {
			t.Errorf("request %d: a receiver with another secret answered %d", i, status)
		}
	}
}
