package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/hook"
)

// EmptyBodyFor reports whether the contract has events of this type, by its
// name with us, and sends them without a body (A2-LOST1).
func (d *Dialect) EmptyBodyFor(eventType string) bool {
	return slices.Contains(d.body.emptyFor, eventType)
}

// Body renders the request body: the same bytes for the same input, always.
// The error is a sentence for the endpoint's owner.
func (d *Dialect) Body(in Input) ([]byte, error) {
	if d.EmptyBodyFor(in.Event.Type) {
		return []byte{}, nil
	}
	b := body{rule: &d.body, data: in.Data, fields: in.Fields, delivery: in.Number,
		values: values{event: in.Event, eventType: d.EventName(in.Event.Type), endpoint: in.Endpoint, tenant: in.Tenant, publicURL: in.PublicURL}}
	if b.data == nil {
		b.data = in.Event.Data
	}
	if b.endpoint == nil {
		b.endpoint = &nobody
	}
	if b.tenant == nil {
		b.tenant = &nowhere
	}
	if len(b.data) == 0 {
		return nil, errors.New("the event has no data to send")
	}
	if d.form != nil {
		out := d.appendForm(nil, &b)
		return out, b.err
	}
	out := b.template(make([]byte, 0, b.size()), d.body.json)
	for i := range d.body.add {
		if a := &d.body.add[i]; slices.Contains(a.events, b.eventType) {
			out = b.addition(out, a)
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	return out, nil
}

// What stands for an endpoint and a tenant that were left out.
var (
	nobody  hook.Endpoint
	nowhere hook.Tenant
)

// body is one that is being rendered.
type body struct {
	values
	rule     *bodyRule
	data     []byte
	fields   []string
	delivery int64
	err      error // the first
}

func (b *body) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

func (b *body) writer() writer { return writer{style: b.rule.style, ids: b.rule.ids} }

// template writes a template.
func (b *body) template(dst []byte, t template) []byte {
	for i := range t {
		p := &t[i]
		switch {
		case p.source == literal:
			dst = append(dst, p.text...)
		case p.escape:
			from := len(dst)
			dst = b.text(dst, p)
			if text := dst[from:]; b.rule.style.run(text) < len(text) {
				dst = b.rule.style.quote(dst[:from], bytes.Clone(text))
			}
		default:
			dst = b.json(dst, p)
		}
	}
	return dst
}

// plain writes a template as a text that is not in JSON.
func (b *body) plain(dst []byte, t template) []byte {
	for i := range t {
		switch p := &t[i]; {
		case p.source == literal:
			dst = append(dst, p.text...)
		case p.kind() == asNumber || p.kind() == asRaw:
			dst = b.json(dst, p)
		default:
			dst = b.text(dst, p)
		}
	}
	return dst
}

// text writes a placeholder within a text.
func (b *body) text(dst []byte, p *piece) []byte {
	switch p.source {
	case eventDataAt:
		return b.textAt(dst, b.data, "data", p)
	case eventMetadataAt:
		return b.textAt(dst, b.event.Metadata, "metadata", p)
	case endpointSetting:
		return b.setting(dst, b.endpoint.Settings, "endpoint", p)
	case tenantSetting:
		return b.setting(dst, b.tenant.Settings, "tenant", p)
	case endpointVendorID:
		if b.endpoint.VendorID == "" {
			b.fail("the endpoint has no id of this contract, which its body needs")
		}
		return append(dst, b.endpoint.VendorID...)
	case eventTime:
		return appendMillis(dst, b.event.Time)
	case eventTimeOffset:
		dst = b.event.Time.UTC().AppendFormat(dst, time.RFC3339)
		return append(dst[:len(dst)-len("Z")], "+00:00"...)
	}
	return p.append(dst, &b.values)
}

func (b *body) textAt(dst, in []byte, what string, p *piece) []byte {
	raw, found := valueAt(in, p.text)
	dst, ok := appendText(dst, raw)
	switch {
	case ok:
	case p.gap && (!found || raw[0] == 'n'):
		dst = append(dst, p.or...)
	case !found:
		b.lacks(what, p.text)
	default:
		b.fail("the member %s of the %s is null, an object or a list; this contract's body needs a text or a number there", p.text, what)
	}
	return dst
}

func (b *body) lacks(what, path string) {
	b.fail("the %s has no member %s, which this contract's body needs", what, path)
}

func (b *body) setting(dst []byte, settings map[string]string, whose string, p *piece) []byte {
	value, ok := settings[p.text]
	switch {
	case ok:
		return append(dst, value...)
	case p.gap:
		return append(dst, p.or...)
	}
	b.fail("the %s has no setting %s, which this contract's body needs", whose, p.text)
	return dst
}

// json writes a placeholder that is JSON, or a number within a text.
func (b *body) json(dst []byte, p *piece) []byte {
	switch p.source {
	case eventData:
		if b.rule.project {
			if c := choose(b.fields); c != nil {
				if out, _, ok := b.writer().project(dst, b.data, skipSpace(b.data, 0), c); ok {
					return out
				}
			}
		}
		return b.writer().value(dst, b.data)
	case eventDataAt:
		raw, ok := valueAt(b.data, p.text)
		return b.valueAt(dst, raw, ok, "data", p, b.rule.ids)
	case eventMetadataAt:
		raw, ok := valueAt(b.event.Metadata, p.text)
		return b.valueAt(dst, raw, ok, "metadata", p, false)
	case eventMetadata:
		switch {
		case p.gap && !hasMembers(b.event.Metadata):
			return append(dst, p.or...)
		case len(b.event.Metadata) == 0:
			b.fail("the event has no metadata, which this contract's body needs")
		}
		return writer{style: b.rule.style}.value(dst, b.event.Metadata)
	case eventChanged:
		return b.changed(dst)
	case deliveryNumber:
		return strconv.AppendInt(dst, b.delivery, 10)
	case endpointVendorID:
		if b.endpoint.VendorID == "" {
			return b.text(dst, p)
		}
		return b.digits(dst, b.endpoint.VendorID, "the endpoint's id of this contract")
	case tenantVendorID:
		if id, ok := b.tenant.Settings[vendorIDSetting]; ok {
			return b.digits(dst, id, "the tenant's setting vendor_id")
		}
		return strconv.AppendInt(dst, int64(b.tenant.Num), 10)
	}
	return p.append(dst, &b.values)
}

// digits writes an id that is a number.
func (b *body) digits(dst []byte, id, what string) []byte {
	if !isNumber(id) {
		b.fail("%s is %q, but this contract's body needs a number", what, id)
	}
	return append(dst, id...)
}

// isNumber reports whether a text is a whole number as JSON has it.
func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s == "0" || s != "" && s[0] != '0'
}

func (b *body) valueAt(dst, raw []byte, ok bool, what string, p *piece, ids bool) []byte {
	switch {
	case ok && b.rule.texts && p.gap && raw[0] == 'n':
		return append(dst, p.or...)
	case ok && b.rule.texts && raw[0] != '"' && raw[0] != '-' && (raw[0] < '0' || raw[0] > '9'):
		b.fail("the member %s of the %s is no text and no number, which this contract's body needs there", p.text, what)
		return dst
	case ok:
		last := p.text[strings.LastIndexByte(p.text, '.')+1:]
		return writer{style: b.rule.style, ids: ids}.member(dst, IsID(last), raw)
	case p.gap:
		return append(dst, p.or...)
	}
	b.lacks(what, p.text)
	return dst
}

func hasMembers(object []byte) bool {
	for range members(object) {
		return true
	}
	return false
}

// addition adds a member at the end of the body, unless it is there already.
func (b *body) addition(dst []byte, a *addition) []byte {
	dst = trimSpace(dst)
	if len(dst) < 2 || dst[0] != '{' {
		b.fail("the data is not an object, so that %s cannot be added to it as this contract wants", a.name)
		return dst
	}
	if _, ok := memberOf(dst, a.name); ok {
		return dst
	}
	some := hasMembers(dst)
	dst = dst[:len(dst)-1]
	if some {
		dst = append(dst, ',')
	}
	return append(b.template(dst, a.value), '}')
}

// appendMillis writes a time as ISO 8601 in UTC with milliseconds (SW-6). The
// layout of time.RFC3339 is quicker than any of our own.
func appendMillis(dst []byte, t time.Time) []byte {
	ms := t.Nanosecond() / int(time.Millisecond)
	dst = t.UTC().AppendFormat(dst, time.RFC3339)
	return append(dst[:len(dst)-len("Z")], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// size is how many bytes the body will have, exactly where nothing needs
// escaping, so that it takes one allocation.
func (b *body) size() int {
	n := 0
	for i := range b.rule.json {
		switch p := &b.rule.json[i]; p.source {
		case literal:
			n += len(p.text)
		case eventID:
			n += 36
		case eventType:
			n += len(b.eventType)
		case eventTime:
			n += len("2006-01-02T15:04:05.000Z")
		case eventTimeOffset:
			n += len("2006-01-02T15:04:05+00:00")
		case eventData:
			n += len(b.data)
			if b.rule.project && len(b.fields) > 0 {
				n = min(n, 512)
			}
		case eventMetadata:
			n += len(b.event.Metadata)
		case endpointID:
			n += len(b.endpoint.ID)
		case tenantID:
			n += len(b.tenant.ID)
		case publicURL:
			n += len(b.publicURL)
		default: // numbers
			n += 20
		}
	}
	for i := range b.rule.add {
		if a := &b.rule.add[i]; slices.Contains(a.events, b.eventType) {
			n += len(a.name) + 60
		}
	}
	return n
}
