package catalogue

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// bundle makes a schema of a document stand alone: what it refers to elsewhere in the
// document is put under its $defs.
type bundle struct {
	d     *document
	root  string            // pointer to the schema
	names map[string]string // of what is under $defs, by pointer
	taken map[string]bool   // names under $defs
	todo  []string          // pointers to what is still to be put there
}

// alone is the schema at a pointer, by itself, as JSON.
func (d *document) alone(schema any, at string) ([]byte, error) {
	schema, at, err := d.follow(schema, at)
	if err != nil {
		return nil, err
	}
	o, ok := schema.(object)
	if !ok {
		return json.Marshal(schema) // true or false
	}
	b := &bundle{d: d, root: at, names: map[string]string{}, taken: map[string]bool{}}
	own, _ := o["$defs"].(object)
	for name := range own {
		b.taken[name] = true
	}
	copied, err := b.copy(o)
	if err != nil {
		return nil, err
	}
	out := copied.(object)
	defs := object{}
	if kept, ok := out["$defs"].(object); ok {
		defs = kept
	}
	for len(b.todo) > 0 {
		pointer := b.todo[0]
		b.todo = b.todo[1:]
		v, err := d.find(pointer)
		if err != nil {
			return nil, err
		}
		if defs[b.names[pointer]], err = b.copy(v); err != nil {
			return nil, err
		}
	}
	if len(defs) > 0 {
		out["$defs"] = defs
	}
	return json.Marshal(out)
}

// copy is a part of a schema with its references turned to where they lead now.
func (b *bundle) copy(v any) (any, error) {
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if ref, ok := v[name].(string); ok && name == "$ref" {
				to, err := b.refer(ref)
				if err != nil {
					return nil, err
				}
				out[name] = to
				continue
			}
			kid, err := b.copy(v[name])
			if err != nil {
				return nil, err
			}
			out[name] = kid
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			kid, err := b.copy(item)
			if err != nil {
				return nil, err
			}
			out[i] = kid
		}
		return out, nil
	}
	return v, nil
}

// refer is a reference as the schema that stands alone has it.
func (b *bundle) refer(ref string) (string, error) {
	pointer, err := local(ref)
	if err != nil {
		return "", err
	}
	if within, ok := strings.CutPrefix(pointer, b.root); ok && (within == "" || within[0] == '/') {
		return "#" + within, nil
	}
	name, known := b.names[pointer]
	if !known {
		if _, err := b.d.find(pointer); err != nil {
			return "", err
		}
		name = b.name(pointer)
		b.names[pointer] = name
		b.todo = append(b.todo, pointer)
	}
	return "#/$defs/" + escape(name), nil
}

// name is a free name under $defs, like the last one of a pointer.
func (b *bundle) name(pointer string) string {
	last := unescape(pointer[strings.LastIndexByte(pointer, '/')+1:])
	if last == "" {
		last = "document"
	}
	name := last
	for n := 2; b.taken[name]; n++ {
		name = last + strconv.Itoa(n)
	}
	b.taken[name] = true
	return name
}
