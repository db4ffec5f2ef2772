package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"grapnel/internal/hook"
)

// vendorIDSetting is the setting of a tenant that {tenant.vendor_id} is.
const vendorIDSetting = "vendor_id"

// bodyRule is the section request.body of a dialect file.
type bodyRule struct {
	json     template
	style    style
	project  bool
	ids      bool // identifiers are strings
	texts    bool // what lies at a path is a text or a number
	add      []addition
	emptyFor []string // event types
}

// addition is a member that is added to the bodies of some events.
type addition struct {
	events []string // in the contract's words
	name   string
	value  template // begins with the name as JSON and the colon
}

func (r *reader) body(n ast.Node, d *Dialect) {
	o := r.object(n, "body", "json", "form", "style", "project", "id_strings", "only_texts", "add", "empty_body_for")
	b := &d.body
	b.style = styles[r.choice(o, "style", "verbatim", "compact", "js", "php")]
	if o.has("project") {
		b.project = r.flag(o.node("project"), "project")
	}
	if o.has("id_strings") {
		b.ids = r.flag(o.node("id_strings"), "id_strings")
	}
	if o.has("only_texts") {
		b.texts = r.flag(o.node("only_texts"), "only_texts")
	}
	switch {
	case o.has("json") == o.has("form"):
		r.fail(n, "the body must have one of the keys json and form")
	case o.has("form"):
		d.form = r.form(o.node("form"), d)
		for _, key := range []string{"style", "project", "id_strings", "only_texts", "add"} {
			if r.err == nil && o.has(key) {
				r.fail(o.node(key), "%s is about JSON, this body is a form", key)
			}
		}
	default:
		b.json = r.jsonTemplate(o.node("json"), d)
	}
	if o.has("add") {
		r.additions(o, d)
	}
	if o.has("empty_body_for") {
		b.emptyFor = r.emptyBodies(o.node("empty_body_for"))
	}
	d.settings = d.bodySettings()
	for _, key := range []string{"project", "id_strings"} {
		if r.err == nil && o.has(key) && !b.json.has(eventData) {
			r.fail(o.node(key), "%s is about {event.data}, which this body does not hold", key)
		}
	}
	if r.err == nil && o.has("only_texts") && !b.json.has(eventDataAt) && !b.json.has(eventMetadataAt) {
		r.fail(o.node("only_texts"), "only_texts is about {event.data.PATH} and {event.metadata.PATH}, which this body does not hold")
	}
}

// bodySettings finds what of settings the templates of the body name.
func (d *Dialect) bodySettings() (s BodySettings) {
	all := []template{d.body.json}
	for _, a := range d.body.add {
		all = append(all, a.value)
	}
	for _, f := range d.form {
		all = append(all, f.value)
	}
	for _, p := range slices.Concat(all...) {
		switch p.source {
		case tenantSetting:
			s.Tenant = append(s.Tenant, p.text)
		case tenantVendorID:
			s.Tenant = append(s.Tenant, vendorIDSetting)
		case endpointSetting:
			s.Endpoint = append(s.Endpoint, p.text)
		}
	}
	return s
}

func (r *reader) emptyBodies(n ast.Node) []string {
	var out []string
	for _, e := range r.list(n, "empty_body_for") {
		t := r.textOf(e, "an event type")
		if r.err != nil {
			return nil
		}
		if err := hook.ValidType(t); err != nil {
			r.fail(e, "%v", err)
		}
		if slices.Contains(out, t) {
			r.fail(e, "empty_body_for names %s twice", t)
		}
		out = append(out, t)
	}
	if r.err == nil && len(out) == 0 {
		r.fail(n, "empty_body_for names no event type")
	}
	return out
}

func (r *reader) additions(o object, d *Dialect) {
	n := o.node("add")
	if _, ok := o.node("json").(*ast.MappingNode); r.err == nil && !ok && !d.body.json.alone(eventData) {
		r.fail(n, "add adds members to an object; the body must be a mapping or \"{event.data}\" alone")
	}
	added := map[[2]string]bool{} // by event and name
	for _, e := range r.list(n, "add") {
		in := r.object(e, "an entry of add", "events!", "name!", "value!")
		a := addition{name: r.text(in, "name", "")}
		if r.err == nil && a.name == "" {
			r.fail(in.node("name"), "the name of the member is empty")
		}
		if m, ok := o.node("json").(*ast.MappingNode); ok {
			for _, p := range r.members(m, "a JSON object") {
				if p.key == a.name {
					r.fail(in.node("name"), "the body has a member %s already", a.name)
				}
			}
		}
		for _, t := range r.list(in.node("events"), "events") {
			event := r.textOf(t, "an event")
			switch {
			case r.err != nil:
			case d.catalogue != nil && !slices.Contains(d.catalogue, event):
				r.fail(t, "the event %s is not in the catalogue", event)
			case d.EventName(event) != event:
				r.fail(t, "the contract calls %s %s, and that is what add must name", event, d.EventName(event))
			case event == "":
				r.fail(t, "the name of the event is empty")
			}
			if r.err == nil && added[[2]string{event, a.name}] {
				r.fail(t, "%s is added to %s twice", a.name, event)
			}
			added[[2]string{event, a.name}] = true
			a.events = append(a.events, event)
		}
		if r.err == nil && len(a.events) == 0 {
			r.fail(in.node("events"), "add must name one event or more")
		}
		w := jsonWriter{reader: r, d: d}
		w.literal(w.quote(a.name) + ":")
		w.value(in.node("value"))
		a.value = w.done()
		d.body.add = append(d.body.add, a)
	}
	if r.err == nil && len(d.body.add) == 0 {
		r.fail(n, "add must hold one entry or more")
	}
}

// jsonTemplate writes the value of body.json as a template whose text is JSON.
func (r *reader) jsonTemplate(n ast.Node, d *Dialect) template {
	w := jsonWriter{reader: r, d: d}
	w.value(n)
	return w.done()
}

type jsonWriter struct {
	*reader
	d     *Dialect
	fixed bool   // texts have no placeholders
	run   []byte // literals that follow out
	out   template
}

func (w *jsonWriter) quote(s string) string { return `"` + w.inner(s) + `"` }
func (w *jsonWriter) inner(s string) string { return string(w.d.body.style.quote(nil, []byte(s))) }

func (w *jsonWriter) literal(s string) { w.run = append(w.run, s...) }

// placeholder writes one behind the literals so far.
func (w *jsonWriter) placeholder(p piece) {
	w.flush()
	w.out = append(w.out, p)
}

func (w *jsonWriter) flush() {
	if len(w.run) > 0 {
		w.out = append(w.out, piece{text: string(w.run)})
		w.run = w.run[:0]
	}
}

// done is what was written.
func (w *jsonWriter) done() template {
	w.flush()
	return slices.Clip(w.out)
}

func (w *jsonWriter) value(n ast.Node) {
	if w.err != nil {
		return
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		w.literal("{")
		for i, p := range w.members(v, "a JSON object") {
			if i > 0 {
				w.literal(",")
			}
			w.literal(w.quote(p.key) + ":")
			w.value(p.value)
		}
		w.literal("}")
	case *ast.SequenceNode:
		w.literal("[")
		for i, e := range v.Values {
			if i > 0 {
				w.literal(",")
			}
			w.value(e)
		}
		w.literal("]")
	case *ast.StringNode:
		if v.Token.Type == token.StringType && startsNumber([]byte(v.Value)) && jsontext.Value(v.Value).IsValid() {
			w.literal(v.Value) // without quotes, and a number in JSON: 1e5, or one with many digits
			return
		}
		w.text(v)
	default:
		text := "" // also where the file has a key and no value
		if n != nil && n.GetToken().Type != token.ImplicitNullType {
			text = n.GetToken().Value
		}
		if !jsontext.Value(text).IsValid() {
			w.fail(n, "a value of the JSON body must be a text, a JSON number, true, false, null, a mapping or a list; this is %s", kindOf(n))
			return
		}
		w.literal(text)
	}
}

// text writes a text: its one placeholder as what it is, anything else as a
// JSON string.
func (w *jsonWriter) text(n *ast.StringNode) {
	if w.fixed {
		w.literal(w.quote(n.Value))
		return
	}
	t := w.template(n, n.Value, inBody, nil)
	w.hasVendorIDs(n, t, w.d)
	if len(t) == 1 && t[0].source != literal && w.kind(t[0]) != asText {
		p := t[0]
		if p.gap && !jsontext.Value(p.or).IsValid() {
			w.fail(n, "{…|%s} stands alone, so what stands behind the bar must be JSON: a text in its quotes, a number, null, [] or {}", p.or)
		}
		p.or = string(writer{style: w.d.body.style}.value(nil, []byte(p.or)))
		w.placeholder(p)
		return
	}
	w.literal(`"`)
	for _, p := range t {
		switch {
		case p.source == literal:
			w.literal(w.inner(p.text))
		case w.kind(p) == asRaw:
			w.fail(n, "a placeholder that is JSON itself must stand alone, not within the text %q", n.Value)
		default:
			p.escape = w.kind(p) != asNumber
			w.placeholder(p)
		}
	}
	w.literal(`"`)
}

// hasVendorIDs checks that the vendor has ids of its own if t holds one.
func (r *reader) hasVendorIDs(n ast.Node, t template, d *Dialect) {
	if d.ids == OwnIDs && t.has(endpointVendorID) {
		r.fail(n, "with ids: own there is no {endpoint.vendor_id}; bodies have {endpoint.id}")
	}
}

func (w *jsonWriter) kind(p piece) kind {
	if p.source == endpointVendorID && w.d.ids == NumberIDs {
		return asNumber
	}
	return p.kind()
}

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
