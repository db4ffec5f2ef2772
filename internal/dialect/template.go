package dialect

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"grapnel/internal/hook"
)

// source is what a piece of a template stands for.
type source uint8

const (
	literal source = iota
	eventID
	eventType
	eventUnix
	eventTime
	eventData
	endpointID
	endpointNumber
	tenantID
	tenantNumber
	publicURL
	attemptUnix
	attemptNumber
	requestURL
	requestMethod
	requestBody
	oneSignature
	allSignatures
)

// scope is a set of places where a placeholder has a value.
type scope uint8

const (
	inHeader scope = 1 << iota
	inOver
	inBody
	inText  // of one signature
	inValue // of a signature header
)

// kind is what a placeholder is in JSON.
type kind uint8

const (
	asText kind = iota
	asNumber
	asRaw // is JSON already
)

type placeholder struct {
	name   string
	source source
	scope  scope
	kind   kind
}

var placeholders = []placeholder{
	{"event.id", eventID, inHeader | inOver | inBody | inValue, asText},
	{"event.type", eventType, inHeader | inOver | inBody | inValue, asText},
	{"event.unix", eventUnix, inHeader | inOver | inBody | inValue, asNumber},
	{"attempt.unix", attemptUnix, inHeader | inOver | inValue, asNumber},
	{"attempt.number", attemptNumber, inHeader | inOver | inValue, asNumber},
	{"event.time", eventTime, inBody, asText},
	{"event.data", eventData, inBody, asRaw},
	{"endpoint.id", endpointID, inBody, asText},
	{"endpoint.number", endpointNumber, inBody, asNumber},
	{"tenant.id", tenantID, inBody, asText},
	{"tenant.number", tenantNumber, inBody, asNumber},
	{"public_url", publicURL, inBody, asText},
	{"body", requestBody, inOver, asRaw},
	{"request.url", requestURL, inOver, asText},
	{"request.method", requestMethod, inOver, asText},
	{"signature", oneSignature, inText, asText},
	{"signatures", allSignatures, inValue, asText},
}

// piece is a literal text or one placeholder.
type piece struct {
	source source
	text   string // of a literal
	escape bool   // write it as the inside of a JSON string
}

// template is a text with placeholders, read.
type template []piece

// alone reports whether the template is this one placeholder and nothing else.
func (t template) alone(s source) bool { return len(t) == 1 && t[0].source == s }

// template reads a text with placeholders. Placeholders {header.NAME} are
// replaced by the templates of headers.
func (r *reader) template(n ast.Node, text string, where scope, headers []header) template {
	var out template
	add := func(s string) {
		if k := len(out); k > 0 && out[k-1].source == literal {
			out[k-1].text += s
			return
		}
		out = append(out, piece{text: s})
	}
	for rest := text; rest != "" && r.err == nil; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			add(rest)
			break
		}
		if i > 0 {
			add(rest[:i])
		}
		if rest = rest[i:]; strings.HasPrefix(rest, "{{") || strings.HasPrefix(rest, "}}") {
			add(rest[:1])
			rest = rest[2:]
			continue
		}
		end := strings.IndexByte(rest, '}')
		if end <= 0 {
			r.fail(n, "the template %q has a brace without its partner; write {{ or }} for a brace itself", text)
			return nil
		}
		name := rest[1:end]
		rest = rest[end+1:]
		if h, ok := strings.CutPrefix(name, "header."); ok && where == inOver {
			for _, p := range r.headerNamed(n, h, headers) {
				if p.source == literal {
					add(p.text)
				} else {
					out = append(out, p)
				}
			}
			continue
		}
		out = append(out, piece{source: r.placeholder(n, name, where).source})
	}
	return out
}

// placeholder finds a placeholder by its name and checks that it has a value
// there.
func (r *reader) placeholder(n ast.Node, name string, where scope) placeholder {
	var here []string
	for _, p := range placeholders {
		if p.scope&where == 0 {
			continue
		}
		if p.name == name {
			return p
		}
		here = append(here, "{"+p.name+"}")
	}
	r.fail(n, "there is no placeholder {%s} here; there are %s", name, strings.Join(here, " "))
	return placeholder{}
}

func (r *reader) headerNamed(n ast.Node, name string, headers []header) template {
	for _, h := range headers {
		if h.name == name {
			return h.value
		}
	}
	r.fail(n, "{header.%s} names no header of request.headers", name)
	return nil
}

// jsonTemplate writes the value of body.json as a template whose text is JSON.
func (r *reader) jsonTemplate(n ast.Node) template {
	w := jsonWriter{reader: r}
	w.value(n)
	return slices.Clip(w.out)
}

type jsonWriter struct {
	*reader
	out template
}

func (w *jsonWriter) literal(s string) {
	if k := len(w.out); k > 0 && w.out[k-1].source == literal {
		w.out[k-1].text += s
		return
	}
	w.out = append(w.out, piece{text: s})
}

func (w *jsonWriter) value(n ast.Node) {
	if w.err != nil {
		return
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		w.literal("{")
		for i, p := range w.pairs(v, "a JSON object") {
			if i > 0 {
				w.literal(",")
			}
			w.literal(quote(p.key) + ":")
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
	t := w.template(n, n.Value, inBody, nil)
	if len(t) == 1 && t[0].source != literal && t[0].kind() != asText {
		w.out = append(w.out, t[0])
		return
	}
	w.literal(`"`)
	for _, p := range t {
		switch {
		case p.source == literal:
			q := quote(p.text)
			w.literal(q[1 : len(q)-1])
		case p.kind() == asRaw:
			w.fail(n, "a placeholder that is JSON itself must stand alone, not within the text %q", n.Value)
		default:
			w.out = append(w.out, piece{source: p.source, escape: p.kind() == asText})
		}
	}
	w.literal(`"`)
}

func (p piece) kind() kind {
	for _, ph := range placeholders {
		if ph.source == p.source {
			return ph.kind
		}
	}
	return asText
}

func quote(s string) string {
	b, _ := jsontext.AppendQuote(nil, s) // an error tells of bad UTF-8, which it has replaced
	return string(b)
}

// values is what placeholders stand for. Each user fills what its scope has.
type values struct {
	event     *hook.Event
	id        string // the event's, once it was asked for
	eventType string // in the contract's words
	endpoint  *hook.Endpoint
	tenant    *hook.Tenant
	publicURL string

	at     int64 // of the attempt, Unix seconds
	number int
	url    string
	method string
	body   []byte

	signature []byte // all, joined
}

// eventTimeForm is ISO 8601 in UTC with milliseconds (SW-6).
const eventTimeForm = "2006-01-02T15:04:05.000Z"

// append writes a template.
func (t template) append(dst []byte, v *values) []byte {
	for i := range t {
		if !t[i].escape {
			dst = t[i].append(dst, v)
			continue
		}
		from := len(dst)
		dst = t[i].append(dst, v)
		if !plain(dst[from:]) {
			q := quote(string(dst[from:]))
			dst = append(dst[:from], q[1:len(q)-1]...)
		}
	}
	return dst
}

func (p piece) append(dst []byte, v *values) []byte {
	switch p.source {
	case literal:
		return append(dst, p.text...)
	case eventID:
		if v.id == "" {
			v.id = v.event.ID.String() // once, for the header and what is signed
		}
		return append(dst, v.id...)
	case eventType:
		return append(dst, v.eventType...)
	case eventUnix:
		return strconv.AppendInt(dst, v.event.Time.Unix(), 10)
	case eventTime:
		return v.event.Time.In(time.UTC).AppendFormat(dst, eventTimeForm)
	case eventData:
		return append(dst, v.event.Data...)
	case endpointID:
		return append(dst, v.endpoint.ID...)
	case endpointNumber:
		return strconv.AppendInt(dst, int64(v.endpoint.Num), 10)
	case tenantID:
		return append(dst, v.tenant.ID...)
	case tenantNumber:
		return strconv.AppendInt(dst, int64(v.tenant.Num), 10)
	case publicURL:
		return append(dst, v.publicURL...)
	case attemptUnix:
		return strconv.AppendInt(dst, v.at, 10)
	case attemptNumber:
		return strconv.AppendInt(dst, int64(v.number), 10)
	case requestURL:
		return append(dst, v.url...)
	case requestMethod:
		return append(dst, v.method...)
	case requestBody:
		return append(dst, v.body...)
	default: // allSignatures; a scheme keeps what is around oneSignature apart
		return append(dst, v.signature...)
	}
}

// size is how many bytes append will write, exactly where nothing needs
// escaping, so that a body takes one allocation.
func (t template) size(v *values) int {
	n := 0
	for i := range t {
		switch t[i].source {
		case literal:
			n += len(t[i].text)
		case eventID:
			n += 36
		case eventType:
			n += len(v.eventType)
		case eventTime:
			n += len(eventTimeForm)
		case eventData:
			n += len(v.event.Data)
		case endpointID:
			n += len(v.endpoint.ID)
		case tenantID:
			n += len(v.tenant.ID)
		case publicURL:
			n += len(v.publicURL)
		default: // numbers
			n += 20
		}
	}
	return n
}

// plain reports whether a text is the same inside a JSON string.
func plain(s []byte) bool {
	for _, c := range s {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
