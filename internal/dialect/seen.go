package dialect

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"grapnel/internal/hook"
)

// carrier is a header that has to be read to know what was signed.
type carrier struct {
	header int  // in Dialect.headers
	named  bool // its value is part of what is signed
	read   bool // its value holds something that has to be taken out of it
}

// findCarriers finds them, once sign is read.
func (d *Dialect) findCarriers() []carrier {
	var direct template // all that is signed
	for i := range d.sign {
		for _, run := range d.sign[i].over {
			direct = append(direct, run.text...)
		}
	}
	var out []carrier
	for i := range d.headers {
		c := carrier{header: i}
		for _, p := range direct {
			c.named = c.named || slices.Contains(p.refs, i)
		}
		for _, p := range d.headers[i].value {
			c.read = c.read || p.source.told() && direct.has(p.source) || c.named && (p.source.stamp() >= 0 || p.source.hash())
		}
		if c.read = c.read && d.headers[i].value.separable(); c.named || c.read {
			out = append(out, c)
		}
	}
	return out
}

// told reports whether a request says the placeholder's value, in one or
// several of its headers.
func (s source) told() bool {
	switch s {
	case eventID, eventType, eventUnix, eventUnixMs, attemptUnix, attemptUnixMs, attemptTime, attemptNumber, bodySHA256, bodySHA256Base64, allSignatures:
		return true
	}
	return false
}

// hash reports whether the placeholder is a hash of the body.
func (s source) hash() bool { return s == bodySHA256 || s == bodySHA256Base64 }

// outside reports whether the placeholder's value is only what the request
// says, and of any form: anybody can have written it.
func (s source) outside() bool {
	return s.told() && !s.hash() && s != attemptTime || s == headerValue || s == requestMethod
}

// separable reports whether a text that the template wrote can be taken apart.
func (t template) separable() bool {
	for i := 1; i < len(t); i++ {
		if t[i-1].source != literal && t[i].source != literal {
			return false
		}
	}
	return true
}

// seen is what a request says about the placeholders that were signed.
type seen struct {
	of       *Dialect
	received *Received
	values   map[source]string
	headers  map[int]string      // the values of carriers
	timeIn   [len(stamps)]string // the headers that the attempt's time came in
}

func (d *Dialect) look(r *Received) *seen {
	return &seen{of: d, received: r, values: map[source]string{}, headers: map[int]string{}}
}

// take keeps what a carrier says. It is false if that cannot be.
func (s *seen) take(d *Dialect, c carrier, value string) bool {
	s.headers[c.header] = value
	return !c.read || s.match(d.headers[c.header].value, value, d.headers[c.header].name)
}

// set keeps a value. It is false if the request has said otherwise before: one
// of the two places was changed then. Signatures are each header's own.
func (s *seen) set(what source, value, header string) bool {
	if !what.told() {
		return true
	}
	before, ok := s.values[what]
	s.values[what] = value
	if i := what.stamp(); i >= 0 {
		s.timeIn[i] = header
	}
	return !ok || before == value || what == allSignatures
}

// match reads a header's value as its template wrote it.
func (s *seen) match(t template, value, header string) bool {
	for i, p := range t {
		if p.source == literal {
			rest, ok := strings.CutPrefix(value, p.text)
			if !ok {
				return false
			}
			value = rest
			continue
		}
		end := len(value)
		if i+1 < len(t) {
			from := 0 // of where to look for what ends it
			if p.source == attemptTime {
				from = min(len(stampForm), len(value))
			}
			if end = strings.Index(value[from:], t[i+1].text); t[i+1].source != literal || end < 0 {
				return false
			}
			end += from
		}
		if !s.set(p.source, value[:end], header) {
			return false
		}
		value = value[end:]
	}
	return value == ""
}

// checkBody checks the hashes of the body that the request carries: where they
// are signed in its place, nothing else ties the body to the signature.
func (s *seen) checkBody(d *Dialect) error {
	got, ok := s.values[bodySHA256]
	got64, ok64 := s.values[bodySHA256Base64]
	if ok && got != s.bodyHash(bodySHA256) || ok64 && got64 != s.bodyHash(bodySHA256Base64) {
		return refuse(NoMatch, "", "the SHA-256 of the body that a header tells is not that of this body: it is not byte for byte what was sent (verify before parsing, and do not write it anew)")
	}
	for i := range d.query {
		want := bodySHA256
		switch {
		case d.query[i].value.alone(bodySHA256Base64):
			want = bodySHA256Base64
		case !d.query[i].value.alone(bodySHA256):
			continue
		}
		got, err := s.param(d.query[i].name)
		if err != nil {
			return err
		}
		if got != s.bodyHash(want) {
			return refuse(NoMatch, "", "the parameter %s of the URL is not the SHA-256 of this body: it is not byte for byte what was sent (verify before parsing, and do not write it anew)", d.query[i].name)
		}
	}
	return nil
}

// bodyHash is what a hash of the body that came must be.
func (s *seen) bodyHash(of source) string {
	if of == bodySHA256Base64 {
		return string(appendSHA256Base64(nil, s.received.Body))
	}
	return string(appendSHA256(nil, s.received.Body))
}

// param is the one value of a parameter of the request's URL.
func (s *seen) param(name string) (string, error) {
	if s.received.URL == "" {
		return "", refuse(Unverifiable, "", "the URL is part of what is signed: it is needed as the sender knows it, with its query")
	}
	u, err := url.Parse(s.received.URL)
	if err != nil {
		return "", refuse(Unverifiable, "", "the URL of the request cannot be read")
	}
	query, _ := url.ParseQuery(u.RawQuery) // what cannot be read is not there
	if n := len(query[name]); n != 1 {
		return "", refuse(Unverifiable, "", "the URL has the parameter %s %d times; it must be there once, as the sender has added it", name, n)
	}
	return query[name][0], nil
}

// value is what a piece of what is signed stands for in this request.
func (s *seen) value(p piece) (string, error) {
	switch p.source {
	case literal:
		return p.text, nil
	case requestURL:
		if s.received.URL == "" {
			return "", refuse(Unverifiable, "", "the URL is part of what is signed: it is needed as the sender knows it, with its query")
		}
		return s.received.URL, nil
	case requestMethod:
		return s.received.Method, nil
	case bodySHA256:
		return string(appendSHA256(nil, s.received.Body)), nil
	case bodySHA256Base64:
		return string(appendSHA256Base64(nil, s.received.Body)), nil
	case formSorted:
		return string(appendFormSorted(nil, s.received.Body)), nil
	case headerValue:
		return strings.TrimPrefix(s.headers[p.refs[0]], p.or), nil // "" where it may be left out
	case headersPHPJSON:
		return s.headersPHP(p.text)
	}
	if value, ok := s.values[p.source]; ok {
		return value, nil
	}
	return "", refuse(Unverifiable, "", "the request does not carry all that was signed")
}

// headersPHP is PHP's JSON of the received headers with a prefix (A2-S1). The
// dialect's own have the case of its file, whatever became of it on the way.
func (s *seen) headersPHP(prefix string) (string, error) {
	var all []hook.Header
	for key, values := range s.received.Header {
		name := s.of.nameAsSent(key, prefix)
		if name == "" || len(values) == 0 || s.of.signatureHeader(name) {
			continue
		}
		if len(values) > 1 {
			return "", refuse(MalformedHeader, name, "the header %s came %d times; it must come once", name, len(values))
		}
		if !utf8.ValidString(values[0]) {
			return "", refuse(MalformedHeader, name, "the value of the header %s is not UTF-8, so it was never signed so", name)
		}
		all = append(all, hook.Header{Name: name, Value: values[0]})
	}
	slices.SortFunc(all, func(a, b hook.Header) int { return strings.Compare(a.Name, b.Name) })
	var out []byte
	for i, h := range all {
		if i > 0 && all[i-1].Name == h.Name {
			return "", refuse(MalformedHeader, h.Name, "the header %s came 2 times; it must come once", h.Name)
		}
		out = appendMember(out, h.Name, []byte(h.Value))
	}
	return string(closeMembers(out, 0)), nil
}

// nameAsSent is a header's name in the case in which it was sent, as far as
// that can be told; "" if it does not begin with the prefix.
func (d *Dialect) nameAsSent(name, prefix string) string {
	if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return ""
	}
	for _, own := range d.names {
		if strings.EqualFold(own, name) {
			return own
		}
	}
	if strings.HasPrefix(name, prefix) {
		return name
	}
	if canonical := http.CanonicalHeaderKey(name); strings.HasPrefix(canonical, prefix) {
		return canonical
	}
	return prefix + name[len(prefix):]
}

func (d *Dialect) signatureHeader(name string) bool {
	for i := range d.sign {
		if d.sign[i].header == name {
			return true
		}
	}
	return false
}
