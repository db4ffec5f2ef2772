package dialect

import (
	"bytes"
	"unicode/utf8"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// The limits of a dialect file. The real ones have about 2 KiB, 100 keys and 8
// levels; more only serves to keep the parser busy, which takes the square of
// the time for many levels and many keys.
const (
	// MaxFile is the size of the largest dialect file, in bytes.
	MaxFile = 64 << 10

	maxLevels = 64
	maxIndent = 2 * maxLevels // columns, of what is nested by indentation
	maxKeys   = 2000
)

// byteOrderMark may stand at the beginning of a text in UTF-8.
var byteOrderMark = []byte("\ufeff")

// tokens cuts the text into its tokens and looks at their shape before anything
// that takes more than linear time sees them.
func (r *reader) tokens(src []byte) token.Tokens {
	src = bytes.TrimPrefix(src, byteOrderMark)
	if len(src) > MaxFile {
		r.failLine(1, "the file has %d bytes, more than %d", len(src), MaxFile)
		return nil
	}
	if !utf8.Valid(src) {
		good := 0
		for good < len(src) {
			c, n := utf8.DecodeRune(src[good:])
			if c == utf8.RuneError && n == 1 {
				break
			}
			good += n
		}
		r.failLine(1+bytes.Count(src[:good], []byte("\n")), "the file is not UTF-8")
		return nil
	}
	all := lexer.Tokenize(string(src))
	flow, keys := 0, 0
	for i, t := range all {
		at := t
		switch t.Type {
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType:
			r.failLine(t.Position.Line, "this is an anchor, alias or tag, which dialect files do not use")
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(flow-1, 0)
		case token.MappingValueType:
			if keys++; keys > maxKeys {
				r.failLine(t.Position.Line, "the file has more than %d keys", maxKeys)
			}
			if i > 0 && all[i-1].Position.Line == t.Position.Line {
				at = all[i-1] // the key
			}
			fallthrough
		case token.SequenceEntryType, token.MappingKeyType:
			if flow == 0 && at.Position.Column > maxIndent {
				r.failLine(t.Position.Line, "the file is nested too deep: at most %d columns of indentation are possible", maxIndent)
			}
		}
		if flow > maxLevels {
			r.failLine(t.Position.Line, "the file is nested too deep: at most %d levels are possible", maxLevels)
		}
		if r.err != nil {
			return nil
		}
	}
	return all
}
