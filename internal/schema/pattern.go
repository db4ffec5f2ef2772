package schema

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The bounds of patterns, in instructions of their programs.
const (
	maxProgram  = 2000  // of one
	maxPrograms = 20000 // of all in a schema
)

var errPattern = errors.New("is a pattern that takes too much to match: make it simpler, above all its counted repetitions")

// patterns compiles the regular expressions of a schema. They are RE2's, which take
// time in proportion to the text whatever they look like.
type patterns struct{ left int }

func (p *patterns) compile(text string) (jsonschema.Regexp, error) {
	cost, err := patternCost(text)
	if err != nil {
		return nil, err
	}
	if p.left -= cost; p.left < 0 {
		return nil, errPattern
	}
	r, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return &pattern{r, cost}, nil
}

// pattern is a regular expression that knows what it costs.
type pattern struct {
	*regexp.Regexp
	cost int
}

// patternCost is about how many instructions a pattern has. It is told from the
// parsed text, for to compile a bad one is what must not be done.
func patternCost(text string) (int, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	var wrong *syntax.Error
	if errors.As(err, &wrong) && wrong.Code == syntax.ErrInvalidPerlOp {
		return 0, fmt.Errorf("is a pattern with %s, which is not supported: look-around and back references cannot be matched in bounded time", wrong.Expr)
	}
	if err != nil {
		return 0, fmt.Errorf("is a pattern that cannot be read: %w", err)
	}
	cost := instructions(parsed)
	if cost > maxProgram {
		return 0, errPattern
	}
	return cost, nil
}

func instructions(r *syntax.Regexp) int {
	n := 1
	if r.Op == syntax.OpLiteral {
		n = len(r.Rune)
	}
	if r.Op == syntax.OpCharClass {
		n = 1 + len(r.Rune)/32
	}
	for _, sub := range r.Sub {
		n = min(n+instructions(sub), maxProgram+1)
	}
	if r.Op == syntax.OpRepeat {
		n *= max(1, r.Min, r.Max)
	}
	return min(n, maxProgram+1)
}
