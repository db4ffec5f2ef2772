package filter

import (
	"strings"
	"unicode/utf8"
)

// maxSteps bounds what the patterns with _ and the comparisons with the object before the
// change may cost of one filter for one event, all together: characters and values that are
// compared. Patterns without it take time proportional to the text alone.
const maxSteps = 1 << 16

// piece is what a pattern has between two %: so many characters, one after the other.
type piece struct {
	text string // if no character is any
	tok  []rune // else the characters, anyRune for any
}

const anyRune rune = -1

// plainLike matches text against a pattern without _ and escapes, in time that the
// length of the text bounds.
func plainLike(text, pattern string) bool {
	first, rest, several := strings.Cut(pattern, "%")
	if !several {
		return text == pattern
	}
	text, ok := strings.CutPrefix(text, first)
	for ok {
		var piece string
		if piece, rest, several = strings.Cut(rest, "%"); !several {
			return strings.HasSuffix(text, piece)
		}
		_, text, ok = strings.Cut(text, piece)
	}
	return false
}

// like matches text against the pieces of a pattern, none of which matches nothing. known
// is false where that would cost more than the steps that are left, which it counts down.
func like(text string, pieces []piece, steps *int) (matches, known bool) {
	if len(pieces) == 0 {
		return false, true
	}
	first, last := pieces[0], pieces[len(pieces)-1]
	n := first.prefix(text, steps)
	switch {
	case *steps < 0:
		return false, false
	case n < 0:
		return false, true
	case len(pieces) == 1:
		return n == len(text), true
	}
	text = text[n:]
	for _, p := range pieces[1 : len(pieces)-1] {
		end := p.find(text, steps)
		if *steps < 0 || end < 0 {
			return false, *steps >= 0
		}
		text = text[end:]
	}
	return last.suffix(text, steps), *steps >= 0
}

// split parts a pattern of %, _ and backslash escapes at its %: nil for one that nothing
// matches, since its last character is a backslash.
func split(pattern string) (out []piece) {
	var tok []rune
	wild := false
	end := func() {
		if wild {
			out = append(out, piece{tok: tok})
		} else {
			out = append(out, piece{text: string(tok)})
		}
		tok, wild = nil, false
	}
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			tok, escaped = append(tok, r), false
		case r == '\\':
			escaped = true
		case r == '%':
			end()
		case r == '_':
			tok, wild = append(tok, anyRune), true
		default:
			tok = append(tok, r)
		}
	}
	end()
	if escaped {
		return nil
	}
	return out
}

// prefix is how many bytes a piece takes at the beginning of a text; -1: it is not there.
func (p *piece) prefix(text string, steps *int) int {
	if p.tok == nil {
		if !strings.HasPrefix(text, p.text) {
			return -1
		}
		return len(p.text)
	}
	n := 0
	for _, want := range p.tok {
		*steps--
		r, size := utf8.DecodeRuneInString(text[n:])
		if size == 0 || want != anyRune && want != r {
			return -1
		}
		n += size
	}
	return n
}

// find is where a piece ends where it is first in a text; -1: it is not in it, or there
// are no steps left.
func (p *piece) find(text string, steps *int) int {
	if p.tok == nil {
		i := strings.Index(text, p.text)
		if i < 0 {
			return -1
		}
		return i + len(p.text)
	}
	for i := range text {
		if n := p.prefix(text[i:], steps); n >= 0 || *steps < 0 {
			return i + n
		}
	}
	return -1
}

// suffix reports whether a text ends with a piece.
func (p *piece) suffix(text string, steps *int) bool {
	if p.tok == nil {
		return strings.HasSuffix(text, p.text)
	}
	at := len(text)
	for range p.tok {
		_, size := utf8.DecodeLastRuneInString(text[:at])
		if size == 0 {
			return false
		}
		at -= size
	}
	return p.prefix(text[at:], steps) == len(text)-at
}
