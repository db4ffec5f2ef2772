package dialect

import (
	"slices"

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
