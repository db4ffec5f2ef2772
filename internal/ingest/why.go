package ingest

import (
	"strings"

	"grapnel/internal/filter"
	"grapnel/internal/hook"
)

// Mismatch says why an endpoint does not get an event. Its zero value is a match.
type Mismatch struct {
	Rule Rule
	At   string // JSON Pointer into the filter to the clause that decided; of ByFilter
	Text string // what the rule wants and what the event has, in words
}

// Rule is one by which endpoints get events.
type Rule string

// The rules, in the order in which they are asked.
const (
	ByType   Rule = "event_types" // the endpoint subscribes to other types
	ByPart   Rule = "scope"       // it gets the events of another part alone, such as another store
	ByFilter Rule = "filter"      // its filter is not satisfied
)

// Why matches an event with an endpoint as both are now, and tells which rule keeps it
// from getting the event. What the event's tenant is, it does not look at.
func (g *Ingester) Why(event *hook.Event, e *hook.Endpoint) Mismatch {
	policy := g.matcher.policies.of(e.Dialect)
	if name := policy.nameOf(event.Type); !hook.MatchesType(e.EventTypes, name) {
		text := "it subscribes to " + strings.Join(e.EventTypes, ", ") + ", and the event is " + name
		if name != event.Type {
			text += ", as the contract calls " + event.Type
		}
		if hook.Operational(event.Type) {
			text = event.Type + " is told to those endpoints alone that name it"
		}
		return Mismatch{Rule: ByType, Text: text}
	}
	if scope := policy.Scope; scope != nil && !hook.Operational(event.Type) {
		own := strings.TrimSpace(e.Settings[scope.Setting])
		if own == "" {
			own = scope.Default
		}
		of := parts{metadata: event.Metadata}
		if part := of.of(scope); part != own {
			return Mismatch{Rule: ByPart, Text: "its " + scope.Setting + " is " + hook.Clip(own) + ", and the event's " + scope.Metadata + " is " + hook.Clip(part)}
		}
	}
	condition := g.matcher.conditions.of(string(e.Filter))
	if condition == nil {
		return Mismatch{}
	}
	f, err := condition.parsed()
	if err != nil {
		return Mismatch{Rule: ByFilter, Text: "its filter cannot be read: " + err.Error()}
	}
	if v := f.Why(filter.NewSubject(event)); !v.Matches {
		return Mismatch{Rule: ByFilter, At: v.At, Text: v.Text}
	}
	return Mismatch{}
}
