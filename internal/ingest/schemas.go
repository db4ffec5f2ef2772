package ingest

import (
	"slices"
	"strconv"
	"sync"

	"grapnel/internal/hook"
	"grapnel/internal/schema"
	"grapnel/internal/store/directory"
)

// schemas hold events against the schemas of their types, where these ask for it.
type schemas struct {
	directory *directory.Directory

	mu    sync.Mutex
	known map[string]*typeSchema // by type
	size  int                    // bytes of their texts
}

// typeSchema is the schema of a type as it was when it was last needed.
type typeSchema struct {
	of     *hook.EventType // its record; another one where the type was changed
	once   sync.Once
	schema *schema.Schema
	err    error
}

// maxSchemas bounds the texts of the schemas that are kept ready, in bytes.
const maxSchemas = 8 << 20

// seenType is what checking saw of an event type; nil: there was none.
type seenType struct {
	name string
	was  *hook.EventType
}

func (s *schemas) see(name string) seenType {
	t, _ := s.directory.Type(name)
	return seenType{name, t}
}

// of is the schema that a type's events must satisfy, nil for none.
func (s *schemas) of(t *hook.EventType) *typeSchema {
	if t == nil || !t.Validate || len(t.Schema) == 0 {
		return nil
	}
	eventType := t.Name
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.known[eventType]
	if old != nil && old.of == t {
		return old
	}
	if s.known == nil {
		s.known = map[string]*typeSchema{}
	}
	if old != nil {
		s.drop(eventType)
	}
	for other := range s.known { // any: a map begins anywhere
		if s.size+len(t.Schema) <= maxSchemas {
			break
		}
		s.drop(other)
	}
	made := &typeSchema{of: t}
	s.known[eventType] = made
	s.size += len(t.Schema)
	return made
}

func (s *schemas) drop(eventType string) {
	s.size -= len(s.known[eventType].of.Schema)
	delete(s.known, eventType)
}

func (t *typeSchema) parsed() (*schema.Schema, error) {
	t.once.Do(func() { t.schema, t.err = schema.Parse(t.of.Schema) })
	return t.schema, t.err
}

// check finds those events of a submission that do not satisfy the schema of their
// type, as it is now, and what has to be as it is for that to hold.
func (s *schemas) check(sub *submission) {
	if sub.Own || sub.Only != nil {
		return
	}
	sub.types, sub.unfit = sub.oneType[:0], nil
	for i := range sub.Items {
		if sub.Errs != nil && sub.Errs[i] != nil || sub.over != nil && sub.over[i] != nil {
			continue
		}
		if n := len(sub.types); n == 0 || sub.types[n-1].name != sub.Items[i].Type {
			sub.types = append(sub.types, s.see(sub.Items[i].Type))
		}
		t := s.of(sub.types[len(sub.types)-1].was)
		if t == nil {
			continue
		}
		at := "/data"
		if sub.Batch {
			at = "/" + strconv.Itoa(i) + at
		}
		if err := t.check(sub.Items[i].Data, at); err != nil {
			if sub.unfit == nil {
				sub.unfit = make([]*hook.Error, len(sub.Items))
			}
			sub.unfit[i] = err
		}
	}
}

// changed reports whether a type is another than it was when a submission was checked.
func (s *schemas) changed(sub *submission) bool {
	return slices.ContainsFunc(sub.types, func(t seenType) bool { return s.see(t.name) != t })
}

// check is why data at a place does not satisfy the schema; nil if it does.
func (t *typeSchema) check(data []byte, at string) *hook.Error {
	s, err := t.parsed()
	if err != nil { // it was checked when it was stored
		return &hook.Error{Code: hook.CodeInternal, Message: "the schema of the event type cannot be read", Err: err}
	}
	failures, err := s.Check(data)
	if err != nil {
		e := *asError(err)
		e.Code, e.Field = hook.CodeUnfit, at+e.Field
		return &e
	}
	if len(failures) == 0 {
		return nil
	}
	first := hook.Invalid(at+failures[0].At, "does not satisfy the schema of %s: %s", hook.Clip(t.of.Name), failures[0].Text)
	first.Code = hook.CodeUnfit
	for _, f := range failures[1:] {
		first.Also = append(first.Also, hook.Place{Field: at + f.At, Message: f.Text})
	}
	return first
}
