package filter

import (
	"encoding/json"
	"fmt"

	"grapnel/internal/hook"
)

// Verdict tells whether an event satisfies a filter and, if not, because of which clause.
type Verdict struct {
	Matches bool
	At      string // JSON Pointer to the clause in the filter; "" where the event matches, or for the whole of it
	Text    string // what the clause wants and what the event has, in words; "" where the event matches
}

// Why is Match with the reason.
func (f *Filter) Why(s *Subject) Verdict {
	s.steps = maxSteps
	return f.root.why(s, "")
}

func (n *node) why(s *Subject, at string) Verdict {
	switch n.kind {
	case 'a':
		for i := range n.kids {
			if v := n.kids[i].why(s, fmt.Sprintf("%s/and/%d", at, i)); !v.Matches {
				return v
			}
		}
		return Verdict{Matches: true}
	case 'o':
		var first Verdict
		for i := range n.kids {
			v := n.kids[i].why(s, fmt.Sprintf("%s/or/%d", at, i))
			if v.Matches {
				return v
			}
			if i == 0 {
				first = v
			}
		}
		if len(n.kids) == 1 {
			return first
		}
		return Verdict{At: at + "/or", Text: fmt.Sprintf("none of the %d conditions of or holds; of the first: %s", len(n.kids), first.Text)}
	case 'n':
		if v := n.kids[0].why(s, at+"/not"); !v.Matches {
			return Verdict{Matches: true}
		}
		return Verdict{At: at + "/not", Text: "the condition inside not holds: " + n.kids[0].found(s)}
	}
	if n.match(s) {
		return Verdict{Matches: true}
	}
	return Verdict{At: at, Text: n.found(s) + ", and the filter wants " + n.wants()}
}

// found says what the event has where a condition looks.
func (n *node) found(s *Subject) string {
	if n.kind != 'c' {
		return "all of it does"
	}
	v, there := s.field(n.path)
	name := hook.Clip(dotted(n.path))
	if n.op == "changed" {
		s.steps = maxSteps
		switch changed, known := s.changed(v, there, n.path); {
		case len(s.event.Previous) == 0:
			return "the event was published without previous, so that it is not known whether " + name + " has changed"
		case !known:
			return "whether " + name + " has changed is too dear to find out"
		case changed:
			return name + " has changed"
		}
		return name + " is as it was before"
	}
	if !there {
		return name + " is not there"
	}
	return name + " is " + written(v)
}

func dotted(path []string) (text string) {
	for i, p := range path {
		if i > 0 {
			text += "."
		}
		text += p
	}
	return text
}

// wants says what a condition asks for.
func (n *node) wants() string {
	value := written(n.value)
	if n.list != nil {
		value = written(n.list)
	}
	switch n.op {
	case "exists":
		if n.value == false {
			return "it not to be there"
		}
		return "it to be there"
	case "changed":
		if n.value == false {
			return "it to be as it was before"
		}
		return "it to have changed"
	case "eq":
		return value
	case "neq":
		return "anything but " + value
	case "in":
		return "one of " + value
	case "not_in":
		return "none of " + value
	case "like":
		return "a text like " + value
	case "not_like":
		return "a text that is not like " + value
	case "lt":
		return "less than " + value
	case "lte":
		return value + " or less"
	case "gt":
		return "more than " + value
	}
	return value + " or more"
}

// written is a value as JSON, not longer than one likes to read.
func written(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		if b, err := json.Marshal(v); err == nil && len(b) <= 200 {
			return string(b)
		}
		return "a list"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "something"
	}
	return hook.Clip(string(b))
}
