package explain

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// node is a JSON value whose order, numbers and escapes are as they came.
type node struct {
	open    byte     // '{', '[' or 0
	raw     string   // of a scalar, or of a member's name
	text    string   // of a string, decoded
	isText  bool     // it is a string
	members []member // of an object
	items   []*node  // of an array
}

type member struct {
	name  *node
	value *node
}

// maxDepth bounds what indenting makes of deep nesting.
const maxDepth = 100

var (
	errMore = errors.New("there is more than one value")
	errDeep = errors.New("it is nested too deeply to be written anew")
)

func parse(src []byte) (*node, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(src), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	n, err := read(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errMore
	}
	return n, nil
}

func read(dec *jsontext.Decoder, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	switch kind := dec.PeekKind(); kind {
	case '{', '[':
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		n := &node{open: byte(kind)}
		for dec.PeekKind() != kind+2 { // '}' and ']' lie two behind
			v, err := read(dec, depth+1)
			if err != nil {
				return nil, err
			}
			if kind == '[' {
				n.items = append(n.items, v)
				continue
			}
			m := member{name: v}
			if m.value, err = read(dec, depth+1); err != nil {
				return nil, err
			}
			n.members = append(n.members, m)
		}
		_, err := dec.ReadToken()
		return n, err
	}
	v, err := dec.ReadValue()
	if err != nil {
		return nil, err
	}
	n := &node{raw: string(v)}
	if v.Kind() == '"' {
		n.isText = true
		text, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return nil, err
		}
		n.text = string(text)
	}
	return n, nil
}

// style is a way to write JSON.
type style struct {
	name         string
	comma, colon string // "": alone
	indent       string // "": on one line
	sorted       bool
	first        []string // names that come first in the outermost object
	escape       func([]byte, string) []byte
}

// write writes a value.
func (n *node) write(s style) []byte { return n.append(nil, s, 0) }

func (n *node) append(dst []byte, s style, depth int) []byte {
	if n.open == 0 {
		return n.scalar(dst, s)
	}
	count := len(n.items) + len(n.members)
	dst = append(dst, n.open)
	members := n.members
	if s.sorted || depth == 0 && len(s.first) > 0 {
		members = slices.Clone(members)
		slices.SortStableFunc(members, func(a, b member) int { return s.compare(a.name.text, b.name.text) })
	}
	for i := range count {
		if i > 0 {
			dst = append(dst, ',')
			dst = append(dst, s.comma...)
		}
		dst = s.line(dst, depth+1)
		if n.open == '[' {
			dst = n.items[i].append(dst, s, depth+1)
			continue
		}
		dst = members[i].name.scalar(dst, s)
		dst = append(dst, ':')
		dst = append(dst, s.colon...)
		dst = members[i].value.append(dst, s, depth+1)
	}
	if count > 0 {
		dst = s.line(dst, depth)
	}
	return append(dst, n.open+2)
}

// compare orders names: as they stand in first, or as texts.
func (s *style) compare(a, b string) int {
	if s.sorted {
		return strings.Compare(a, b)
	}
	return rank(s.first, a) - rank(s.first, b)
}

func rank(names []string, name string) int {
	if i := slices.Index(names, name); i >= 0 {
		return i
	}
	return len(names)
}

func (s *style) line(dst []byte, depth int) []byte {
	if s.indent == "" {
		return dst
	}
	dst = append(dst, '\n')
	for range depth {
		dst = append(dst, s.indent...)
	}
	return dst
}

func (n *node) scalar(dst []byte, s style) []byte {
	if !n.isText || s.escape == nil {
		return append(dst, n.raw...)
	}
	return s.escape(dst, n.text)
}

var layouts = []struct {
	style
	kind Kind
}{
	{style{name: "compact"}, JSONCompact},
	{style{name: "with spaces behind , and :", comma: " ", colon: " "}, JSONSpaced},
	{style{name: "indented by two spaces", colon: " ", indent: "  "}, JSONPretty},
	{style{name: "indented by four spaces", colon: " ", indent: "    "}, JSONPretty},
	{style{name: "indented by tabs", colon: " ", indent: "\t"}, JSONPretty},
}

var escapes = []struct {
	name  string
	write func([]byte, string) []byte
}{
	{"", nil}, // as they came
	{"no escapes but those that JSON demands, as JavaScript writes it", quoter(func(rune) bool { return false }, false)},
	{"<, > and & escaped", quoter(func(r rune) bool { return strings.ContainsRune("<>&\u2028\u2029", r) }, false)},
	{"all but ASCII escaped", quoter(func(r rune) bool { return r > 0x7e }, false)},
	{"all but ASCII, and slashes, escaped, as PHP writes it", quoter(func(r rune) bool { return r > 0x7f }, true)},
	{"slashes escaped", quoter(func(rune) bool { return false }, true)},
}

// quoter writes strings in one way of escaping.
func quoter(escaped func(rune) bool, slash bool) func([]byte, string) []byte {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}
	if slash {
		short['/'] = `\/`
	}
	return func(dst []byte, s string) []byte {
		dst = append(dst, '"')
		for _, r := range s {
			switch text, ok := short[r]; {
			case ok:
				dst = append(dst, text...)
			case r < ' ' || escaped(r):
				dst = appendEscape(dst, r)
			default:
				dst = utf8.AppendRune(dst, r)
			}
		}
		return append(dst, '"')
	}
}

func appendEscape(dst []byte, r rune) []byte {
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return appendEscape(appendEscape(dst, high), low)
	}
	hex := strconv.FormatInt(int64(r), 16)
	return append(append(dst, `\u`+"0000"[len(hex):]...), hex...)
}

// jsonGuesses adds the forms in which the document may have been signed.
func (w *work) jsonGuesses(b *bodies, doc *node) {
	order := w.in.Dialect.Members()
	body := bytes.TrimSpace(bytes.TrimPrefix(w.in.Body, []byte(mark)))
	for _, l := range layouts {
		plain, ordered, sorted := l.style, l.style, l.style
		ordered.first, sorted.sorted = order, true
		for _, form := range []struct {
			style
			name string
			kind Kind
		}{
			{plain, l.name, l.kind},
			{ordered, l.name + ", the keys in the contract's order", JSONOrder},
			{sorted, l.name + ", the keys sorted", JSONSorted},
		} {
			var kinds []Kind
			if !bytes.Equal(doc.write(form.style), body) { // else it is the form that came
				kinds = append(kinds, form.kind)
			}
			b.addForms(doc, body, form.style, form.name, kinds)
		}
	}
	b.addOthers(doc)
}

// addForms adds a form with every way of escaping, but for the one that came.
func (b *bodies) addForms(doc *node, body []byte, s style, name string, kinds []Kind) {
	for _, e := range escapes {
		name, kinds := name, slices.Clip(kinds)
		if s.escape = e.write; e.write != nil {
			name, kinds = name+", "+e.name, append(kinds, JSONEscapes)
		}
		if len(kinds) == 0 {
			continue
		}
		text := doc.write(s)
		if bytes.Equal(text, body) {
			continue
		}
		b.add(text, "the body was written anew: signed was the form "+name, kinds...)
		b.add(join(text, "\n"), "the body was written anew: signed was the form "+name+", with a line break at its end", append(kinds, NewlineRemoved)...)
	}
}
