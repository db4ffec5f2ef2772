package dialect

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// allFields is the field that means all of them.
const allFields = "force_all"

// The limits of an endpoint's fields.
const (
	maxFields = 200
	maxField  = 256 // bytes
)

// FieldsCheck checks what an endpoint wants of the data: dotted paths such as
// price.value, which go through lists, or force_all. The error is a
// *hook.Error about the field /fields, or about one of them.
func (d *Dialect) FieldsCheck(fields []string) error {
	switch {
	case len(fields) == 0:
		return nil
	case !d.body.project:
		return hook.Invalid("/fields", "an endpoint of the dialect %s gets the data as a whole; it cannot choose fields", d.name)
	case len(fields) > maxFields:
		return hook.Invalid("/fields", "there are %d fields; an endpoint can have %d", len(fields), maxFields)
	}
	for i, f := range fields {
		at := "/fields/" + strconv.Itoa(i)
		switch {
		case len(f) > maxField:
			return hook.Invalid(at, "a field has %d bytes; it can have %d", len(f), maxField)
		case slices.Contains(strings.Split(f, "."), ""):
			return hook.Invalid(at, "%q is no field: write a name, or names with dots between them such as price.value", f)
		case strings.ContainsFunc(f, func(r rune) bool { return r <= ' ' || r == ',' || r == 0x7f || r == '\ufffd' }):
			return hook.Invalid(at, "%q is no field: a name holds no white space and no comma", hook.Clip(f))
		}
	}
	return nil
}

// choice is a node of the tree of chosen fields.
type choice struct {
	name string
	all  bool // whatever is here is wanted
	sub  []*choice
	at   map[string]*choice // sub by name, where there are many
}

// someChoices is up to how many a list is quicker than a map.
const someChoices = 8

// named finds what is chosen of a member by its name; nil: nothing.
func (c *choice) named(name []byte) *choice {
	if c.at != nil {
		return c.at[string(name)]
	}
	for _, s := range c.sub {
		if s.name == string(name) {
			return s
		}
	}
	return nil
}

func (c *choice) add(name string) *choice {
	s := &choice{name: name}
	c.sub = append(c.sub, s)
	switch {
	case c.at != nil:
		c.at[name] = s
	case len(c.sub) > someChoices:
		c.at = map[string]*choice{}
		for _, s := range c.sub {
			c.at[s.name] = s
		}
	}
	return s
}

// choose makes a tree of fields. nil means everything.
func choose(fields []string) *choice {
	if len(fields) == 0 || slices.Contains(fields, allFields) {
		return nil
	}
	root := &choice{}
	for _, f := range fields {
		c := root
		for name := range strings.SplitSeq(f, ".") {
			next := c.named([]byte(name))
			if next == nil {
				next = c.add(name)
			}
			c = next
		}
		c.all = true
	}
	return root
}

// of finds what is chosen of a member by its name as it is written; nil:
// nothing. It reads the name once, however many are chosen.
func (c *choice) of(raw []byte) *choice {
	if len(raw) < 2 {
		return nil
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return c.named(inner)
	}
	if len(inner) > 6*maxField { // the longest escape of a byte has six
		return nil
	}
	var buf [maxField]byte
	text, _ := jsontext.AppendUnquote(buf[:0], raw)
	return c.named(text)
}

// project writes what was chosen of the value that begins at i, in the order
// of the data, and says where the value ends. Objects and lists on the way are
// there even if nothing of them is; so is null, which stands for either. Other
// values have no fields: ok is false for them.
func (w writer) project(dst, b []byte, i int, c *choice) (out []byte, end int, ok bool) {
	switch {
	case i >= len(b):
		return dst, len(b), false
	case b[i] == '{':
		dst, end = w.projectObject(dst, b, i, c)
		return dst, end, true
	case b[i] == '[':
		dst, end = w.projectList(dst, b, i, c)
		return dst, end, true
	}
	if end = valueEnd(b, i); b[i] == 'n' {
		return append(dst, b[i:end]...), end, true
	}
	return dst, end, false
}

func (w writer) projectObject(dst, b []byte, i int, c *choice) (out []byte, end int) {
	dst = append(dst, '{')
	open := len(dst)
	for i = skipSpace(b, i+1); i < len(b) && b[i] == '"'; i = nextElement(b, i) {
		name, from := memberAt(b, i)
		sub := c.of(name)
		if sub == nil {
			i = valueEnd(b, from)
			continue
		}
		start := len(dst)
		if start > open {
			dst = append(dst, ',')
		}
		dst = append(w.string(dst, name), ':')
		if sub.all {
			i = valueEnd(b, from)
			dst = w.member(dst, isRawID(name), b[from:i])
			continue
		}
		var ok bool
		if dst, i, ok = w.project(dst, b, from, sub); !ok {
			dst = dst[:start]
		}
	}
	return append(dst, '}'), min(i+1, len(b))
}

func (w writer) projectList(dst, b []byte, i int, c *choice) (out []byte, end int) {
	dst = append(dst, '[')
	open := len(dst)
	for i = skipSpace(b, i+1); i < len(b) && b[i] != ']'; i = nextElement(b, i) {
		start := len(dst)
		if start > open {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, i, ok = w.project(dst, b, i, c); !ok {
			dst = dst[:start]
		}
	}
	return append(dst, ']'), min(i+1, len(b))
}
