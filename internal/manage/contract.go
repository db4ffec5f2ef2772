package manage

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// fillContract takes over what only some contracts know.
func fillContract(e *hook.Endpoint, in EndpointInput, d *dialect.Dialect) error {
	if in.Fields != nil {
		if err := checkFields(*in.Fields, d); err != nil {
			return err
		}
		e.Fields = slices.Clone(*in.Fields)
	}
	if in.Settings != nil {
		if err := checkSettings(*in.Settings); err != nil {
			return err
		}
		e.Settings = maps.Clone(*in.Settings)
	}
	return nil
}

func checkFields(fields []string, d *dialect.Dialect) error {
	if len(fields) > 0 && !d.Projects() {
		return &hook.Error{Code: CodeUnsuitable, Field: "/fields", Message: "the dialect " + d.Name() + " sends the data as a whole: an endpoint cannot choose fields of it"}
	}
	return d.FieldsCheck(fields)
}

// checkContract holds what an endpoint subscribes to against the contract's
// catalogue and against its limit of endpoints for one event. peers are the
// tenant's endpoints, e itself may be one of them.
func (m *Manager) checkContract(e *hook.Endpoint, d *dialect.Dialect, peers func() []*hook.Endpoint) error {
	catalogue := d.Catalogue()
	if catalogue == nil && d.PerType() == 0 {
		return nil
	}
	known := catalogue
	for _, t := range m.Directory.Types() {
		known = append(known, d.EventName(t.Name)) // in the contract's words, as events are matched
	}
	if catalogue != nil {
		for i, t := range e.EventTypes {
			if !slices.ContainsFunc(known, func(name string) bool { return hook.MatchesType(e.EventTypes[i:i+1], name) }) {
				return &hook.Error{Code: CodeUnsuitable, Field: fmt.Sprintf("/event_types/%d", i),
					Message: fmt.Sprintf("%q is no event of the dialect %s: an endpoint of it can subscribe to those of its catalogue, and to event types that are registered", hook.Clip(t), d.Name())}
			}
		}
	}
	if d.PerType() == 0 {
		return nil
	}
	return checkLimit(e, d.PerType(), known, peers())
}

// checkLimit counts, for each event that an endpoint would get, the other
// endpoints of its contract that get it. A pattern stands for all known events
// that it matches, and no choice for all there are (SM-M4).
func checkLimit(e *hook.Endpoint, limit int, known []string, peers []*hook.Endpoint) error {
	for at, chosen := range orAll(e.EventTypes) {
		for _, event := range matching(chosen, known) {
			n := 0
			for _, other := range peers {
				if other.ID != e.ID && other.Family() == e.Family() && hook.MatchesType(other.EventTypes, event) {
					n++
				}
			}
			if n >= limit {
				return &hook.Error{Code: hook.CodeConflict, Field: fmt.Sprintf("/event_types/%d", at),
					Message: fmt.Sprintf("%d endpoints of the dialect %s get %s already, which is the contract's limit: delete one of them first", n, e.Family(), event)}
			}
		}
	}
	return nil
}

// orAll are what was chosen, each alone; nil is one choice of everything.
func orAll(eventTypes []string) [][]string {
	if len(eventTypes) == 0 {
		return [][]string{nil}
	}
	return slices.Collect(slices.Chunk(eventTypes, 1))
}

// matching are the events that a choice stands for, and itself where it is the
// name of one.
func matching(chosen, known []string) (out []string) {
	if len(chosen) == 1 && !strings.HasSuffix(chosen[0], ".*") {
		return chosen
	}
	for _, event := range known {
		if hook.MatchesType(chosen, event) {
			out = append(out, event)
		}
	}
	return out
}

// giveVendorID gives a new endpoint the id that its vendor's API calls it by:
// the given one, or the next.
func (m *Manager) giveVendorID(e *hook.Endpoint, given *string) error {
	d, err := m.dialect(e.Dialect)
	if err != nil {
		return err
	}
	if given == nil || *given == "" {
		e.VendorID = m.nextVendorID(e.Family(), d.IDs(), 1)
		return nil
	}
	if err := checkVendorID(*given, d); err != nil {
		return err
	}
	if _, taken := m.Directory.EndpointByVendorID(e.Family(), *given); taken {
		return &hook.Error{Code: hook.CodeConflict, Field: "/vendor_id", Message: fmt.Sprintf("an endpoint of the dialect %s has, or had, the id %s already", e.Family(), *given)}
	}
	e.VendorID = oneCase(d, *given)
	return nil
}

// oneCase is a vendor's id as it is kept: a UUID in lower case (SP-M9).
func oneCase(d *dialect.Dialect, id string) string {
	if d.IDs() == dialect.UUIDs {
		return strings.ToLower(id)
	}
	return id
}

// nextVendorID is an id that no endpoint of a family has had, the nth of those
// that are given out in one change.
func (m *Manager) nextVendorID(family string, ids dialect.IDs, nth int64) string {
	switch ids {
	case dialect.NumberIDs:
		return strconv.FormatInt(m.Directory.HighestVendorID(family)+nth, 10)
	case dialect.UUIDs:
		return uuid.NewString()
	}
	return ""
}

func checkVendorID(id string, d *dialect.Dialect) error {
	if d.IDs() == dialect.OwnIDs {
		return &hook.Error{Code: CodeUnsuitable, Field: "/vendor_id", Message: "the dialect " + d.Name() + " calls an endpoint by the id that it has everywhere: create it by PUT under an id of your own"}
	}
	return checkImportID(d, id)
}
