package dialect

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"grapnel/internal/hook"
)

// header is one of request.headers.
type header struct {
	name  string
	value template
	fixed bool // value is one text
	wild  bool // value holds what the publisher or the operator wrote
	gap   bool // value may come out empty, and the header is left out then
}

func (r *reader) headers(n ast.Node, d *Dialect) {
	for _, p := range r.pairs(n, "headers") {
		r.headerName(p.at, p.key, d)
		h := header{name: p.key, value: r.template(p.value, r.textOf(p.value, p.key), inHeader, nil)}
		r.hasVendorIDs(p.value, h.value, d)
		r.headerValue(p.value, h.value)
		h.fixed = len(h.value) == 1 && h.value[0].source == literal
		for _, piece := range h.value {
			h.wild = h.wild || piece.source.wild()
			h.gap = h.gap || piece.gap && piece.or == ""
			r.headerText(p.value, template{{text: piece.or}})
		}
		d.headers = append(d.headers, h)
		d.names = append(d.names, p.key)
	}
}

// wild reports whether a placeholder's value can hold anything.
func (s source) wild() bool {
	return s == eventMetadataAt || s == eventDataAt || s == noticeAt || s == endpointSetting || s == tenantSetting
}

// Header makes all headers of one attempt, names in their exact case and in
// order: those of request.headers, the signatures, and then the endpoint's
// own. r.At is written into them in whole seconds (SW-1), r.URL is that of the
// attempt, as URL gives it. What could not be sent as it is, is changed before
// anything is signed (A2-S3).
func (d *Dialect) Header(r Request) ([]hook.Header, error) {
	if err := d.checkKeys(r.Keys); err != nil {
		return nil, err
	}
	signed := len(d.sign)
	if len(r.Keys) == 0 {
		signed = 0
	}
	s := d.scratch.Get().(*scratch)
	defer s.done(d)
	v := &s.values
	*v = values{event: r.Event, id: r.ID, eventType: d.EventName(r.Event.Type), endpoint: r.Endpoint, tenant: r.Tenant,
		at: r.At.Unix(), ms: r.At.UnixMilli(), number: r.N, url: r.URL, method: r.Method, body: r.Body, scratch: s, of: d, extra: r.Extra}
	s.text, s.ends = s.text[:0], s.ends[:0]
	for i := range d.headers {
		s.header(&d.headers[i], v)
	}
	for i := range d.sign[:signed] {
		s.sign(&d.sign[i], i, r.Keys, v)
		s.ends = append(s.ends, len(s.text))
	}
	out := make([]hook.Header, 0, len(s.ends)+len(r.Extra))
	all, from := string(s.text), 0 // one allocation for all values
	for i, end := range s.ends {
		if end < 0 {
			continue // left out
		}
		h := hook.Header{Value: all[from:end]}
		if i < len(d.headers) {
			h.Name = d.headers[i].name
			if d.headers[i].fixed {
				h.Value = d.headers[i].value[0].text
			}
		} else {
			h.Name = d.sign[i-len(d.headers)].header
		}
		out = append(out, h)
		from = end
	}
	for _, h := range r.Extra {
		out = append(out, hook.Header{Name: h.Name, Value: sendable(h.Value), Sealed: h.Sealed})
	}
	return out, nil
}

// header appends the value of a header to s.text, or notes that it is left out.
func (s *scratch) header(h *header, v *values) {
	from := len(s.text)
	if !h.fixed {
		s.text = h.value.append(s.text, v)
		if h.wild && !isSendable(string(s.text[from:])) {
			s.text = append(s.text[:from], sendable(string(s.text[from:]))...)
		}
		if h.gap && len(s.text) == from {
			s.ends = append(s.ends, -1)
			return
		}
	}
	s.ends = append(s.ends, len(s.text))
}

// value is that of the header i of the dialect, once it is made; false if it
// was left out.
func (s *scratch) value(d *Dialect, i int) ([]byte, bool) {
	switch {
	case s.ends[i] < 0:
		return nil, false
	case d.headers[i].fixed:
		return []byte(d.headers[i].value[0].text), true
	}
	from := 0
	for j := i - 1; j >= 0; j-- {
		if s.ends[j] >= 0 {
			from = s.ends[j]
			break
		}
	}
	return s.text[from:s.ends[i]], true
}

// sendable is a header's value as the HTTP client and the receiver's server
// leave it: one line of UTF-8 without white space around it (A2-S3).
func sendable(value string) string {
	if isSendable(value) {
		return value
	}
	value = strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(value, string(utf8.RuneError)))
	return strings.Trim(value, " \t")
}

func isSendable(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(value) && strings.Trim(value, " \t") == value
}

// appendHeaderPlaceholder writes what stands in headers alone.
func (p *piece) appendHeaderPlaceholder(dst []byte, v *values) []byte {
	from := len(dst)
	switch p.source {
	case eventEntity, eventAction:
		return p.appendHalf(dst, v)
	case eventMetadataAt:
		dst = appendTextAt(dst, v.event.Metadata, p.text)
	case eventDataAt:
		dst = appendTextAt(dst, v.event.Data, p.text)
	case noticeAt:
		if hook.Operational(v.event.Type) {
			dst = appendTextAt(dst, v.event.Metadata, p.text)
		}
	case attemptRetry:
		if v.number > 1 {
			dst = strconv.AppendInt(dst, int64(v.number-1), 10)
		}
	case endpointVendorID:
		if v.endpoint != nil {
			dst = append(dst, v.endpoint.VendorID...)
		}
	case endpointSetting:
		if v.endpoint != nil {
			dst = append(dst, v.endpoint.Settings[p.text]...)
		}
	case tenantSetting:
		if v.tenant != nil {
			dst = append(dst, v.tenant.Settings[p.text]...)
		}
	}
	if len(dst) == from || p.gap && sendable(string(dst[from:])) == "" {
		dst = append(dst[:from], p.or...)
	}
	return dst
}

// appendHalf writes what stands before or behind the last dot of the event's
// name. Of an operational event it is the name of what the endpoint gets
// otherwise, since the vendor knows no such event.
func (p *piece) appendHalf(dst []byte, v *values) []byte {
	name := v.eventType
	if hook.Operational(v.event.Type) && v.endpoint != nil && len(v.endpoint.EventTypes) == 1 {
		name = v.of.EventName(v.endpoint.EventTypes[0])
	}
	return p.half(dst, name)
}

func (p *piece) half(dst []byte, name string) []byte {
	dot := strings.LastIndexByte(name, '.')
	switch {
	case dot < 0 && p.source == eventEntity:
		return append(dst, name...)
	case dot < 0:
		return dst
	case p.source == eventEntity:
		return append(dst, name[:dot]...)
	}
	return append(dst, name[dot+1:]...)
}

// appendTextAt writes the text at a path of a JSON document, if there is one.
func appendTextAt(dst, doc []byte, path string) []byte {
	if len(doc) == 0 {
		return dst
	}
	if raw, ok := valueAt(doc, path); ok {
		dst, _ = appendText(dst, raw)
	}
	return dst
}
