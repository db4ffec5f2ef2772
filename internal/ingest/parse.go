package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// MaxBatch is the largest number of events in one request.
const MaxBatch = 1000

// Item is one event as a publisher sent it. It owns its bytes: what it was
// parsed from may be used again.
type Item struct {
	Tenant   string // in a request over several tenants
	Key      string // the publisher's own id, or ""
	Type     string
	Data     []byte
	Previous []byte
	Metadata []byte
	Time     time.Time // zero: not given
	Suppress bool

	OrderingKey string // what endpoints keep in order by, or ""
}

// ParseEvent reads one event: a JSON object that holds type and data, and
// maybe id, tenant, time, previous, metadata, ordering_key and suppress. It takes what
// RFC 8259 and I-JSON (RFC 7493) allow and nothing else: no name twice, no
// bad UTF-8, nothing behind the object. maxData bounds data, previous and
// metadata, in bytes each. Errors are hook.Errors with a JSON pointer and, in the text,
// the offset.
func ParseEvent(body []byte, maxData int) (Item, error) {
	d := newDecoder(body, maxData)
	defer d.free()
	item, err := d.event()
	if err != nil {
		return Item{}, err
	}
	if err := d.end(); err != nil {
		return Item{}, err
	}
	return item, d.refused
}

// ParseBatch reads up to MaxBatch events: a JSON array, or one object a line
// (NDJSON). What is wrong with one of them is in the list of errors at its
// place (nil where all is well), and the others stand. An error of the third
// kind means that the request cannot be read as a list of events.
func ParseBatch(body []byte, ndjson bool, maxData int) ([]Item, []error, error) {
	if ndjson {
		return parseLines(body, maxData)
	}
	d := newDecoder(body, maxData)
	defer d.free()
	if d.json.PeekKind() != '[' {
		if _, err := d.json.ReadToken(); err != nil {
			return nil, nil, d.syntax(err)
		}
		return nil, nil, hook.Invalid("", "want an array of events, or one event a line with Content-Type: application/x-ndjson")
	}
	d.json.ReadToken()
	var items []Item
	var errs []error
	for d.json.PeekKind() != ']' {
		if len(items) == MaxBatch {
			return nil, nil, tooMany()
		}
		item, err := d.event()
		if err != nil {
			return nil, nil, err
		}
		items, errs = append(items, item), append(errs, d.refused)
	}
	if _, err := d.json.ReadToken(); err != nil {
		return nil, nil, d.syntax(err)
	}
	return items, errs, d.end()
}

func parseLines(body []byte, maxData int) ([]Item, []error, error) {
	var items []Item
	var errs []error
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(items) == MaxBatch {
			return nil, nil, tooMany()
		}
		item, err := ParseEvent(line, maxData)
		var e *hook.Error
		if errors.As(err, &e) {
			err = &hook.Error{Code: e.Code, Field: "/" + strconv.Itoa(len(items)) + e.Field, Message: e.Message}
		}
		items, errs = append(items, item), append(errs, err)
	}
	return items, errs, nil
}

func tooMany() error {
	return &hook.Error{Code: hook.CodeTooLarge, Message: fmt.Sprintf("a request holds at most %d events; nothing of it was stored, send them in several", MaxBatch)}
}

// decoder reads events one after the other. refused is what is wrong with the
// last one, while its JSON is sound.
type decoder struct {
	json    *jsontext.Decoder
	source  bytes.Reader
	maxData int
	refused error
	scratch []byte
}

// decoders are used again: their buffers cost more than reading an event.
var decoders = sync.Pool{New: func() any {
	d := &decoder{}
	d.json = jsontext.NewDecoder(&d.source)
	return d
}}

func newDecoder(body []byte, maxData int) *decoder {
	d := decoders.Get().(*decoder)
	d.source.Reset(body)
	d.json.Reset(&d.source)
	d.maxData, d.refused = maxData, nil
	return d
}

func (d *decoder) free() {
	d.source.Reset(nil)
	decoders.Put(d)
}

// syntax turns an error of the JSON reader into one that names the place.
func (d *decoder) syntax(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return hook.Invalid(string(d.json.StackPointer()), "the JSON ends too early, at byte %d", d.json.InputOffset())
	}
	var s *jsontext.SyntacticError
	if errors.As(err, &s) {
		return hook.Invalid(string(s.JSONPointer), "not valid JSON at byte %d: %v", s.ByteOffset, s.Err)
	}
	return hook.Invalid("", "not valid JSON: %v", err)
}

// end makes sure that nothing follows.
func (d *decoder) end() error {
	if _, err := d.json.ReadToken(); err == nil {
		return hook.Invalid("", "something follows the JSON, before byte %d: send one value alone", d.json.InputOffset())
	} else if !errors.Is(err, io.EOF) {
		return d.syntax(err)
	}
	return nil
}

// refuse notes the first thing that is wrong with the current event.
func (d *decoder) refuse(err error) {
	if d.refused == nil {
		d.refused = err
	}
}

func (d *decoder) invalid(format string, args ...any) {
	d.refuse(hook.Invalid(string(d.json.StackPointer()), format, args...))
}

// event reads the next value as an event.
func (d *decoder) event() (item Item, err error) {
	d.refused = nil
	if kind := d.json.PeekKind(); kind != '{' {
		if err := d.json.SkipValue(); err != nil {
			return item, d.syntax(err)
		}
		d.invalid("an event is a JSON object")
		return item, nil
	}
	d.json.ReadToken()
	for d.json.PeekKind() != '}' {
		name, err := d.json.ReadValue()
		if err != nil {
			return item, d.syntax(err)
		}
		if err := d.member(&item, d.name(name)); err != nil {
			return item, d.syntax(err)
		}
	}
	if _, err := d.json.ReadToken(); err != nil {
		return item, d.syntax(err)
	}
	// The object is closed, so the pointer is that of the event as a whole.
	switch {
	case item.Type == "":
		d.refuse(hook.Invalid(string(d.json.StackPointer())+"/type", "is missing"))
	case item.Data == nil:
		d.refuse(hook.Invalid(string(d.json.StackPointer())+"/data", "is missing"))
	}
	return item, nil
}

// name is the text of a member's name. The conversion in the switch costs no
// memory, and hardly any name is written with escapes.
func (d *decoder) name(raw jsontext.Value) string {
	switch string(raw) {
	case `"type"`:
		return "type"
	case `"data"`:
		return "data"
	case `"id"`:
		return "id"
	case `"time"`:
		return "time"
	}
	d.scratch, _ = jsontext.AppendUnquote(d.scratch[:0], raw) // the reader has checked it
	return string(d.scratch)
}

// member reads the value of one member into item. The error is one of syntax.
func (d *decoder) member(item *Item, name string) error {
	value, err := d.json.ReadValue()
	if err != nil {
		return err
	}
	switch name {
	case "type":
		item.Type = d.text(value)
		if err := hook.ValidType(item.Type); err != nil && d.refused == nil {
			d.invalid("%v", err)
		}
		if hook.Operational(item.Type) {
			d.invalid("begins with %q, as only events of the server itself do: use another name", hook.OperationalPrefix)
		}
	case "data":
		item.Data = d.payload(value)
	case "previous":
		item.Previous = d.payload(value)
	case "id":
		item.Key = d.text(value)
		if err := hook.ValidEventKey(item.Key); err != nil && d.refused == nil {
			d.invalid("%v", err)
		}
	case "ordering_key":
		item.OrderingKey = d.text(value)
		if err := hook.ValidOrderingKey(item.OrderingKey); err != nil && d.refused == nil {
			d.invalid("%v", err)
		}
	case "tenant":
		item.Tenant = d.text(value)
	case "time":
		item.Time = d.time(value)
	case "metadata":
		if value.Kind() != '{' {
			d.invalid("want an object")
		}
		item.Metadata = d.payload(value)
	case "suppress":
		if k := value.Kind(); k != 't' && k != 'f' {
			d.invalid("want true or false")
		}
		item.Suppress = value.Kind() == 't'
	default:
		d.invalid("%q is not known here: an event has type, data, id, tenant, time, previous, metadata, ordering_key and suppress", hook.Clip(name))
	}
	return nil
}

func (d *decoder) text(value jsontext.Value) string {
	if value.Kind() != '"' {
		d.invalid("want a text")
		return ""
	}
	d.scratch, _ = jsontext.AppendUnquote(d.scratch[:0], value)
	return string(d.scratch)
}

// payload copies a value exactly as it was written.
func (d *decoder) payload(value jsontext.Value) []byte {
	if len(value) > d.maxData {
		d.refuse(&hook.Error{Code: hook.CodeTooLarge, Field: string(d.json.StackPointer()),
			Message: fmt.Sprintf("has %d bytes, the limit is %d; the event was not stored", len(value), d.maxData)})
		return []byte{}
	}
	return bytes.Clone(value)
}

func (d *decoder) time(value jsontext.Value) time.Time {
	t, err := time.Parse(time.RFC3339Nano, d.text(value))
	if err != nil || t.Year() < 1 || t.Year() > 9999 {
		d.invalid("want a time of RFC 3339 such as 2026-01-31T08:00:00Z")
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}
