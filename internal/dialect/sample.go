package dialect

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml/ast"

	"grapnel/internal/hook"
)

// Sample is an event that fits a contract, for tests and for people who want to
// see one. Nobody changes it.
type Sample struct {
	Type                     string // by our name
	Data, Metadata, Previous []byte // JSON; all but Data may be nil
}

// Sample is the contract's; nil: the file has none.
func (d *Dialect) Sample() *Sample { return d.sample }

// sampleOf reads the section sample. What it says must make a body, so it comes
// after everything else.
func (r *reader) sampleOf(n ast.Node, d *Dialect) *Sample {
	o := r.object(n, "sample", "type!", "data!", "metadata", "previous")
	s := &Sample{Type: r.text(o, "type", "")}
	s.Data, s.Metadata, s.Previous = r.jsonOf(o, "data"), r.jsonOf(o, "metadata"), r.jsonOf(o, "previous")
	if r.err != nil {
		return nil
	}
	name := d.EventName(s.Type)
	if err := hook.ValidType(s.Type); err != nil {
		r.fail(o.node("type"), "%v", err)
		return nil
	}
	known := func(pattern string) bool { return hook.MatchesType([]string{pattern}, name) }
	switch {
	case hook.Operational(s.Type):
		r.fail(o.node("type"), "%s is the name of an event of the server's own", s.Type)
	case d.catalogue != nil && !slices.ContainsFunc(d.catalogue, known):
		r.fail(o.node("type"), "the event %s is not in the catalogue", name)
	case s.Metadata != nil && s.Metadata[0] != '{':
		r.fail(o.node("metadata"), "metadata must be a mapping, as that of events is")
	default:
		if _, err := d.Body(d.sampleInput(s)); err != nil {
			r.fail(n, "the sample makes no body: %v", err)
		}
	}
	return s
}

// jsonOf writes what stands in a file as JSON, as it is: its texts have no
// placeholders.
func (r *reader) jsonOf(o object, key string) []byte {
	if r.err != nil || !o.has(key) {
		return nil
	}
	w := jsonWriter{reader: r, d: &Dialect{}, fixed: true}
	w.value(o.node(key))
	if r.err != nil {
		return nil
	}
	out := w.run
	if !jsontext.Value(out).IsValid() {
		r.fail(o.node(key), "%s is not JSON: %s", key, out)
	}
	return out
}

// sampleInput is a sample with all that a body may need besides.
func (d *Dialect) sampleInput(s *Sample) Input {
	settings := func(names []string) map[string]string {
		out := map[string]string{}
		for _, name := range names {
			out[name] = "1"
		}
		return out
	}
	e := &hook.Endpoint{ID: "ep_sample", Num: 1, Settings: settings(d.settings.Endpoint)}
	switch d.ids {
	case NumberIDs:
		e.VendorID = "1"
	case UUIDs:
		e.VendorID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	}
	return Input{
		Event: &hook.Event{Type: s.Type, Data: s.Data, Metadata: s.Metadata, Previous: s.Previous}, Endpoint: e,
		Tenant: &hook.Tenant{ID: "sample", Num: 1, Settings: settings(d.settings.Tenant)}, Number: 1, PublicURL: "https://hooks.example.com",
	}
}
