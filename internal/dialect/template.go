package dialect

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

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

	attemptRetry    // number of this retry; none at the first attempt
	eventEntity     // before the last dot of the event's name
	eventAction     // behind it
	eventMetadataAt // text is a path
	eventDataAt     // text is a path
	noticeAt        // text is a path
	endpointVendorID
	endpointSetting // text is its name
	tenantSetting   // text is its name
	bodySHA256
	headersPHPJSON // text is the prefix of the headers' names
	formSorted
	headerValue // text is a header's name: its value as sent, without or at its beginning
	bodySHA256Base64

	// Other ways to write times.
	eventUnixMs
	attemptUnixMs
	attemptTime

	// What bodies alone have.
	eventTimeOffset
	eventMetadata
	eventChanged
	deliveryNumber
	tenantVendorID
)

// scope is a set of places where a placeholder has a value.
type scope uint8

const (
	inHeader scope = 1 << iota
	inOver
	inBody
	inText  // of one signature
	inValue // of a signature header
	inQuery // of the URL
)

// kind is what a placeholder is in JSON.
type kind uint8

const (
	asText kind = iota
	asNumber
	asRaw   // is JSON already
	asValue // is JSON alone, and text within a text
)

// placeholder is one that there is. A name that ends in "." or ":" takes what
// stands behind it in the file: a path, or the name of something.
type placeholder struct {
	name   string
	source source
	scope  scope
	kind   kind
	gaps   bool // it may have no value, so it takes a default: {name|default}
}

var placeholders = []placeholder{
	{"event.id", eventID, inHeader | inOver | inBody | inValue | inQuery, asText, false},
	{"event.type", eventType, inHeader | inOver | inBody | inValue | inQuery, asText, false},
	{"event.unix", eventUnix, inHeader | inOver | inBody | inValue | inQuery, asNumber, false},
	{"attempt.unix", attemptUnix, inHeader | inOver | inValue, asNumber, false},
	{"event.unix_ms", eventUnixMs, inHeader | inOver | inBody | inValue | inQuery, asNumber, false},
	{"attempt.unix_ms", attemptUnixMs, inHeader | inOver | inValue, asNumber, false},
	{"attempt.time", attemptTime, inHeader | inOver | inValue, asText, false},
	{"attempt.number", attemptNumber, inHeader | inOver | inValue, asNumber, false},
	{"attempt.retry", attemptRetry, inHeader, asNumber, true},
	{"event.entity", eventEntity, inHeader, asText, false},
	{"event.action", eventAction, inHeader, asText, false},
	{"event.metadata.", eventMetadataAt, inHeader | inBody, asValue, true},
	{"event.data.", eventDataAt, inHeader | inBody, asValue, true},
	{"notice.", noticeAt, inHeader, asText, true},
	{"endpoint.vendor_id", endpointVendorID, inHeader | inBody, asText, false},
	{"endpoint.setting.", endpointSetting, inHeader | inBody, asText, true},
	{"tenant.setting.", tenantSetting, inHeader | inBody, asText, true},
	{"event.time", eventTime, inBody, asText, false},
	{"event.data", eventData, inBody, asRaw, false},
	{"event.time_offset", eventTimeOffset, inBody, asText, false},
	{"event.metadata", eventMetadata, inBody, asRaw, true},
	{"event.changed", eventChanged, inBody, asRaw, false},
	{"delivery.number", deliveryNumber, inBody, asNumber, false},
	{"endpoint.id", endpointID, inHeader | inBody, asText, false},
	{"endpoint.number", endpointNumber, inBody, asNumber, false},
	{"tenant.id", tenantID, inBody, asText, false},
	{"tenant.number", tenantNumber, inBody, asNumber, false},
	{"tenant.vendor_id", tenantVendorID, inBody, asNumber, false},
	{"public_url", publicURL, inBody, asText, false},
	{"body", requestBody, inOver, asRaw, false},
	{"body.sha256", bodySHA256, inHeader | inOver | inQuery, asText, false},
	{"body.sha256_base64", bodySHA256Base64, inHeader | inOver | inQuery, asText, false},
	{"request.url", requestURL, inOver, asText, false},
	{"request.method", requestMethod, inOver, asText, false},
	{"headers_php_json:", headersPHPJSON, inOver, asText, false},
	{"form_sorted", formSorted, inOver, asText, false},
	{"signature", oneSignature, inText, asText, false},
	{"signatures", allSignatures, inValue, asText, false},
}

// piece is a literal text or one placeholder.
type piece struct {
	source source
	text   string // of a literal; else what stands behind the placeholder's name
	or     string // what stands where there is no value
	gap    bool   // there is such a text, if only an empty one
	refs   []int  // the headers of the dialect that it names
	escape bool   // in a body: it stands within a JSON string
}

// template is a text with placeholders, read.
type template []piece

// alone reports whether the template is this one placeholder and nothing else.
func (t template) alone(s source) bool { return len(t) == 1 && t[0].source == s }

// template reads a text with placeholders. {header.NAME} names one of headers,
// {header.NAME:TEXT} what stands in it behind a text.
func (r *reader) template(n ast.Node, text string, where scope, headers []header) template {
	var out template
	var run []byte // literal text that follows out
	add := func(p piece) {
		if len(run) > 0 {
			out = append(out, piece{text: string(run)})
			run = run[:0]
		}
		out = append(out, p)
	}
	for rest := text; rest != "" && r.err == nil; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			run = append(run, rest...)
			break
		}
		run = append(run, rest[:i]...)
		if rest = rest[i:]; strings.HasPrefix(rest, "{{") || strings.HasPrefix(rest, "}}") {
			run = append(run, rest[0])
			rest = rest[2:]
			continue
		}
		end := closing(rest)
		if end <= 0 {
			r.fail(n, "the template %q has a brace without its partner; write {{ or }} for a brace itself", text)
			return nil
		}
		name := rest[1:end]
		rest = rest[end+1:]
		if h, ok := strings.CutPrefix(name, "header."); ok && where == inOver {
			name, without, _ := strings.Cut(h, ":")
			add(piece{source: headerValue, text: h, or: without, refs: r.headerNamed(n, name, without, headers)})
			continue
		}
		add(r.piece(n, name, where))
	}
	if len(run) > 0 {
		out = append(out, piece{text: string(run)})
	}
	return out
}

// closing is the place of the brace that closes the one at the beginning. A
// default may hold pairs of braces; 0: there is none.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth <= 0 {
				return i
			}
		}
	}
	return 0
}

// piece reads what stands in braces.
func (r *reader) piece(n ast.Node, text string, where scope) piece {
	name, or, gap := strings.Cut(text, "|")
	p := r.placeholder(n, name, where)
	out := piece{source: p.source, text: strings.TrimPrefix(name, p.name), or: or, gap: gap}
	switch {
	case r.err != nil:
	case gap && !p.gaps:
		r.fail(n, "{%s} always has a value, so a default does nothing", name)
	case !gap && p.gaps && where == inHeader:
		r.fail(n, "{%s} may have no value: write {%s|text} for what stands there then, or {%s|} to leave the header out", name, name, name)
	case (p.source == eventDataAt || p.source == eventMetadataAt || p.source == noticeAt) && slices.Contains(strings.Split(out.text, "."), "") && out.text != "":
		r.fail(n, "{%s} is no path: write names with one dot between them", name)
	case out.text == "" && p.takes():
		r.fail(n, "{%s} must say of what", name)
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
		if p.takes() && strings.HasPrefix(name, p.name) || p.name == name {
			return p
		}
		here = append(here, "{"+p.name+strings.Repeat("…", len(p.name)-len(strings.TrimRight(p.name, ".:")))+"}")
	}
	r.fail(n, "there is no placeholder {%s} here; there are %s", name, strings.Join(here, " "))
	return placeholder{}
}

// takes reports whether the name goes on in the file.
func (p placeholder) takes() bool {
	return strings.HasSuffix(p.name, ".") || strings.HasSuffix(p.name, ":")
}

func (r *reader) headerNamed(n ast.Node, name, begins string, headers []header) []int {
	for i, h := range headers {
		if h.name == name {
			if len(h.value) == 0 || h.value[0].source != literal || !strings.HasPrefix(h.value[0].text, begins) {
				if begins != "" {
					r.fail(n, "{header.%s:%s} is what stands behind %q, but the header %s does not begin so", name, begins, begins, name)
				}
			}
			return []int{i}
		}
	}
	r.fail(n, "{header.%s} names no header of request.headers", name)
	return nil
}

func (p piece) kind() kind {
	for _, ph := range placeholders {
		if ph.source == p.source {
			return ph.kind
		}
	}
	return asText
}

// values is what placeholders stand for. Each user fills what its scope has.
type values struct {
	event     *hook.Event
	id        string // the event's, once it was asked for
	eventType string // in the contract's words
	endpoint  *hook.Endpoint
	tenant    *hook.Tenant
	publicURL string

	at, ms int64 // of the attempt, in Unix seconds and milliseconds
	number int
	url    string
	method string
	body   []byte

	signature []byte // all, joined

	of      *Dialect // for the sake of headers
	scratch *scratch // with the headers that are made already
	extra   []hook.Header
}

// append writes a template.
func (t template) append(dst []byte, v *values) []byte {
	for i := range t {
		dst = t[i].append(dst, v)
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
	case endpointID:
		if v.endpoint == nil {
			return dst
		}
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
	case attemptUnixMs:
		return strconv.AppendInt(dst, v.ms, 10)
	case attemptTime:
		return time.Unix(v.at, 0).UTC().AppendFormat(dst, stampForm)
	case eventUnixMs:
		return strconv.AppendInt(dst, v.event.Time.UnixMilli(), 10)
	case attemptNumber:
		return strconv.AppendInt(dst, int64(v.number), 10)
	case requestURL:
		return append(dst, v.url...)
	case requestMethod:
		return append(dst, v.method...)
	case requestBody:
		return append(dst, v.body...)
	case allSignatures: // a scheme keeps what is around oneSignature apart
		return append(dst, v.signature...)
	case bodySHA256, bodySHA256Base64, formSorted, headersPHPJSON, headerValue:
		return p.appendSigned(dst, v)
	default:
		return p.appendHeaderPlaceholder(dst, v)
	}
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
