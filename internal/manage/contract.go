package manage

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// The limits of what an endpoint chooses of the data.
const (
	maxFields = 200
	maxField  = 256
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
	if len(fields) > maxFields {
		return hook.Invalid("/fields", "holds %d fields, at most %d are allowed", len(fields), maxFields)
	}
	for i, f := range fields {
		at := fmt.Sprintf("/fields/%d", i)
		if f == "" {
			return hook.Invalid(at, "is empty")
		}
		if err := checkText(at, f, maxField); err != nil {
			return err
		}
	}
	return nil
}

// checkContract holds what an endpoint subscribes to against the contract's
// catalogue and against its limit of endpoints for one event.
func (m *Manager) checkContract(e *hook.Endpoint, d *dialect.Dialect) error {
	catalogue := d.Catalogue()
	if catalogue == nil && d.PerType() == 0 {
		return nil
	}
	if catalogue != nil {
		for _, t := range m.Directory.Types() {
			catalogue = append(catalogue, d.EventName(t.Name)) // in the contract's words, as events are matched
		}
		for i, t := range e.EventTypes {
			if !slices.ContainsFunc(catalogue, func(known string) bool { return hook.MatchesType(e.EventTypes[i:i+1], known) }) {
				return &hook.Error{Code: CodeUnsuitable, Field: fmt.Sprintf("/event_types/%d", i),
					Message: fmt.Sprintf("%q is no event of the dialect %s: an endpoint of it can subscribe to those of its catalogue, and to event types that are registered", hook.Clip(t), d.Name())}
			}
		}
	}
	if d.PerType() == 0 {
		return nil
	}
	wanted := e.EventTypes
	if len(wanted) == 0 {
		wanted = catalogue
	}
	for i, t := range wanted {
		if n := m.subscribed(e, t); n >= d.PerType() {
			return &hook.Error{Code: hook.CodeConflict, Field: fmt.Sprintf("/event_types/%d", min(i, max(0, len(e.EventTypes)-1))),
				Message: fmt.Sprintf("%d endpoints of the dialect %s subscribe to %s already, which is the contract's limit: delete one of them first", n, e.Family(), t)}
		}
	}
	return nil
}

// subscribed counts the tenant's other endpoints of the same contract that
// subscribe to an event.
func (m *Manager) subscribed(e *hook.Endpoint, eventType string) (n int) {
	for _, other := range m.Directory.Endpoints(e.Tenant) {
		if other.ID != e.ID && other.Family() == e.Family() && (hook.MatchesType(other.EventTypes, eventType) || slices.Contains(other.EventTypes, eventType)) {
			n++
		}
	}
	return n
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
	e.VendorID = *given
	return nil
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
