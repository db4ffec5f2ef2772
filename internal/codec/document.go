package codec

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// document reads JSON as json.Marshal writes records: without spaces, names as
// the fields are called. It is for those of which there may be a million, for
// which encoding/json takes ten times as long. Whatever else it finds, it gives up,
// and the document is read in the usual way. Texts are parts of the document.
type document struct {
	s   string
	i   int // how far it is read
	bad bool
}

func newDocument(s string) document { return document{s: s, bad: !utf8.ValidString(s)} }

// at takes a byte if it is the next one.
func (d *document) at(c byte) bool {
	if d.i < len(d.s) && d.s[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *document) expect(c byte) {
	if !d.at(c) {
		d.fail()
	}
}

func (d *document) fail() { d.i, d.bad = len(d.s), true }

// done reports whether all was read as it should be.
func (d *document) done() bool { return !d.bad && d.i == len(d.s) }

// word takes a literal if it is the next thing.
func (d *document) word(w string) bool {
	if strings.HasPrefix(d.s[d.i:], w) {
		d.i += len(w)
		return true
	}
	return false
}

func (d *document) null() bool { return d.word("null") }

// text reads a string.
func (d *document) text() string {
	d.expect('"')
	n := strings.IndexByte(d.s[d.i:], '"')
	if n < 0 {
		d.fail()
		return ""
	}
	text := d.s[d.i : d.i+n]
	if strings.IndexByte(text, '\\') >= 0 {
		return d.escaped()
	}
	d.i += n + 1
	return text
}

// escaped reads a string that holds escapes, behind its first quote.
func (d *document) escaped() string {
	for i := d.i; i < len(d.s); i++ {
		switch d.s[i] {
		case '\\':
			i++
		case '"':
			text, err := jsontext.AppendUnquote(nil, d.s[d.i-1:i+1])
			if err != nil {
				d.fail()
				return ""
			}
			d.i = i + 1
			return string(text)
		}
	}
	d.fail()
	return ""
}

// number reads up to where a number ends.
func (d *document) number() string {
	for i := d.i; i < len(d.s); i++ {
		if c := d.s[i]; c == ',' || c == '}' || c == ']' {
			n := d.s[d.i:i]
			d.i = i
			return n
		}
	}
	d.fail()
	return ""
}

func (d *document) int() int64 {
	n, err := strconv.ParseInt(d.number(), 10, 64)
	if err != nil {
		d.fail()
	}
	return n
}

func (d *document) float() float64 {
	n, err := strconv.ParseFloat(d.number(), 64)
	if err != nil {
		d.fail()
	}
	return n
}

func (d *document) bool() bool {
	if d.word("false") {
		return false
	}
	if !d.word("true") {
		d.fail()
	}
	return true
}

// nil passes a null: anything else is not read here.
func (d *document) nil() {
	if !d.null() {
		d.fail()
	}
}

const noTime = "0001-01-01T00:00:00Z"

func (d *document) time() (t time.Time) {
	text := d.text()
	if text == noTime {
		return t
	}
	if t.UnmarshalText([]byte(text)) != nil {
		d.fail()
	}
	return t
}

// base64 reads bytes.
func (d *document) base64() []byte {
	if d.null() {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(d.text())
	if err != nil {
		d.fail()
	}
	return b
}

// list reads an array, nil for null. item reads one of what is in it.
func list[T any](d *document, room int, item func(*document) T) []T {
	if d.null() {
		return nil
	}
	d.expect('[')
	if d.at(']') {
		return []T{}
	}
	out := make([]T, 0, room)
	for !d.bad {
		out = append(out, item(d))
		if !d.at(',') {
			d.expect(']')
			break
		}
	}
	return out
}

// members reads an object.
func (d *document) members(member func(name string)) {
	d.expect('{')
	if d.at('}') {
		return
	}
	for !d.bad {
		name := d.text()
		d.expect(':')
		member(name)
		if !d.at(',') {
			d.expect('}')
			return
		}
	}
}

func (d *document) texts() map[string]string {
	if d.null() {
		return nil
	}
	m := map[string]string{}
	d.members(func(name string) { m[name] = d.text() })
	return m
}

// ReadEndpoint reads an endpoint, unless it holds what few do.
func ReadEndpoint(doc string, e *hook.Endpoint) bool {
	d := newDocument(doc)
	d.members(func(name string) { d.endpoint(name, e) })
	return d.done()
}

func (d *document) endpoint(name string, e *hook.Endpoint) {
	switch name {
	case "ID":
		e.ID = d.text()
	case "Num":
		e.Num = hook.EndpointNum(d.int())
	case "Tenant":
		e.Tenant = d.text()
	case "TenantNum":
		e.TenantNum = hook.TenantNum(d.int())
	case "URL":
		e.URL = d.text()
	case "EventTypes":
		e.EventTypes = list(d, 2, (*document).text)
	case "Dialect":
		e.Dialect = d.text()
	case "Secrets":
		e.Secrets = list(d, 1, (*document).secret)
	case "Description":
		e.Description = d.text()
	case "VendorID":
		e.VendorID = d.text()
	case "Fields":
		e.Fields = list(d, 4, (*document).text)
	case "PastFields", "PastSettings", "PastTransforms":
		d.nil()
	case "Settings":
		e.Settings = d.texts()
	case "Headers":
		e.Headers = list(d, 1, (*document).header)
	case "Auth":
		e.Auth = d.auth()
	case "TLS":
		e.TLS = d.tls()
	case "Filter":
		e.Filter = d.base64()
	case "Transform":
		e.Transform = d.text()
	case "Schedule":
		e.Schedule = list(d, 8, func(d *document) time.Duration { return time.Duration(d.int()) })
	case "Timeout":
		e.Timeout = time.Duration(d.int())
	case "RateLimit":
		e.RateLimit = d.float()
	case "MaxInFlight":
		e.MaxInFlight = int(d.int())
	case "Ordering":
		e.Ordering = hook.Ordering(d.text())
	case "SkipAfter":
		e.SkipAfter = int(d.int())
	case "DisableAfter":
		e.DisableAfter = time.Duration(d.int())
	case "FailingSince":
		e.FailingSince = d.time()
	case "State":
		e.State = hook.EndpointState(d.text())
	case "StateReason":
		e.StateReason = d.text()
	case "StateAt":
		e.StateAt = d.time()
	case "CreatedAt":
		e.CreatedAt = d.time()
	case "UpdatedAt":
		e.UpdatedAt = d.time()
	case "Deleted":
		e.Deleted = d.bool()
	default:
		d.fail()
	}
}

func (d *document) secret() (s hook.EndpointSecret) {
	d.members(func(name string) {
		switch name {
		case "Sealed":
			s.Sealed = hook.Sealed(d.text())
		case "Public":
			s.Public = d.text()
		case "CreatedAt":
			s.CreatedAt = d.time()
		case "ExpiresAt":
			s.ExpiresAt = d.time()
		default:
			d.fail()
		}
	})
	return s
}

func (d *document) header() (h hook.Header) {
	d.members(func(name string) {
		switch name {
		case "Name":
			h.Name = d.text()
		case "Value":
			h.Value = d.text()
		case "Sealed":
			h.Sealed = hook.Sealed(d.text())
		default:
			d.fail()
		}
	})
	return h
}

// ReadTenant reads a tenant, unless it holds what few do.
func ReadTenant(doc string, t *hook.Tenant) bool {
	d := newDocument(doc)
	d.members(func(name string) { d.tenant(name, t) })
	return d.done()
}

func (d *document) tenant(name string, t *hook.Tenant) {
	switch name {
	case "ID":
		t.ID = d.text()
	case "Num":
		t.Num = hook.TenantNum(d.int())
	case "Name":
		t.Name = d.text()
	case "Dialect":
		t.Dialect = d.text()
	case "APIVersion":
		t.APIVersion = d.text()
	case "PastAPIVersions", "PastSettings", "Connection":
		d.nil()
	case "Settings":
		t.Settings = d.texts()
	case "Secrets":
		if !d.null() {
			t.Secrets = map[string]hook.Sealed{}
			d.members(func(name string) { t.Secrets[name] = hook.Sealed(d.text()) })
		}
	case "SecretMarks":
		t.SecretMarks = d.texts()
	case "Quota":
		d.members(func(name string) { d.quota(name, &t.Quota) })
	case "Programs":
		t.Programs = d.bool()
	case "Operator":
		t.Operator = d.bool()
	case "LinkEpoch":
		t.LinkEpoch = d.int()
	case "CreatedAt":
		t.CreatedAt = d.time()
	case "UpdatedAt":
		t.UpdatedAt = d.time()
	case "Deleted":
		t.Deleted = d.bool()
	default:
		d.fail()
	}
}

func (d *document) quota(name string, q *hook.Quota) {
	switch name {
	case "Events":
		q.Events = d.float()
	case "Pending":
		q.Pending = d.int()
	default:
		d.fail()
	}
}
