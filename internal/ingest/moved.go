package ingest

import (
	"errors"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// itemOf checks an event of the inbox as strictly as one that was posted.
func itemOf(w *store.Waiting, maxData int) (item Item, err error) {
	if w.TenantID == "" {
		return item, hook.Errorf(hook.CodeNotFound, "the tenant was deleted before the event could be taken")
	}
	item = Item{Tenant: w.TenantID, Key: w.Key, Type: w.Type, Time: w.Time, Suppress: w.Suppress, OrderingKey: w.Ordering}
	if err := hook.ValidType(w.Type); err != nil {
		return item, at("/type", err)
	}
	if hook.Operational(w.Type) {
		return item, hook.Invalid("/type", "begins with %q, as only events of the server itself do: use another name", hook.OperationalPrefix)
	}
	if err := hook.ValidEventKey(w.Key); err != nil {
		return item, at("/id", err)
	}
	if w.Ordering != "" {
		if err := hook.ValidOrderingKey(w.Ordering); err != nil {
			return item, at("/ordering_key", err)
		}
	}
	if item.Data, err = valueOf(w.Data, maxData); err != nil {
		return item, at("/data", err)
	}
	if w.Previous != nil {
		if item.Previous, err = valueOf(w.Previous, maxData); err != nil {
			return item, at("/previous", err)
		}
	}
	if w.Metadata != nil {
		if item.Metadata, err = valueOf(w.Metadata, maxData); err != nil {
			return item, at("/metadata", err)
		}
		if item.Metadata[0] != '{' {
			return item, hook.Invalid("/metadata", "want an object")
		}
	}
	return item, nil
}

// valueOf reads a text that holds one JSON value and nothing else.
func valueOf(text []byte, maxData int) ([]byte, error) {
	d := newDecoder(text, maxData)
	defer d.free()
	value, err := d.json.ReadValue()
	if err != nil {
		return nil, d.syntax(err)
	}
	own := d.payload(value)
	if err := d.end(); err != nil {
		return nil, err
	}
	return own, d.refused
}

// at says of an error in a part of an event which part that is.
func at(field string, err error) error {
	var e *hook.Error
	if !errors.As(err, &e) {
		return err
	}
	placed := *e
	placed.Field = field + e.Field
	return &placed
}

// leave appends what becomes of a submission's places in the inbox. Those whose events can
// be taken later stay there.
func (s *submission) leave(taken []store.Taken) []store.Taken {
	for i, place := range s.Taken {
		err := s.results[i].Err
		if err != nil && (err.Code == hook.CodeRateLimited || err.Code == hook.CodeUnavailable) {
			continue
		}
		taken = append(taken, store.Taken{InboxPlace: place, Err: err})
	}
	return taken
}
