package dialect

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// queryParam is one of request.query.
type queryParam struct {
	name  string
	value template
}

func (r *reader) query(n ast.Node) []queryParam {
	var out []queryParam
	for _, p := range r.pairs(n, "query") {
		q := queryParam{name: p.key, value: r.template(p.value, r.textOf(p.value, p.key), inQuery, nil)}
		if r.err == nil && (q.name == "" || !plain([]byte(q.name)) || len(q.value) == 0) {
			r.fail(p.at, "a parameter of the query has a name of printable ASCII and a value")
		}
		for _, have := range out {
			if have.name == q.name {
				r.fail(p.at, "the parameter %s is set twice", q.name)
			}
		}
		out = append(out, q)
	}
	if r.err == nil && len(out) == 0 {
		r.fail(n, "the query is empty; leave it out")
	}
	return out
}

// URL is where an attempt goes: the endpoint's URL, which is in r.URL, and
// behind it what the contract adds to its query.
func (d *Dialect) URL(r Request) string {
	if len(d.query) == 0 {
		return r.URL
	}
	v := values{event: r.Event, id: r.ID, eventType: d.EventName(r.Event.Type), body: r.Body}
	base, fragment, _ := strings.Cut(r.URL, "#")
	out := []byte(base)
	mark := byte('?')
	if i := strings.IndexByte(base, '?'); i >= 0 {
		mark = '&'
		if i == len(base)-1 || base[len(base)-1] == '&' {
			mark = 0
		}
	}
	for i := range d.query {
		if mark != 0 {
			out = append(out, mark)
		}
		mark = '&'
		out = append(out, url.QueryEscape(d.query[i].name)...)
		out = append(out, '=')
		out = append(out, url.QueryEscape(string(d.query[i].value.append(nil, &v)))...)
	}
	if fragment != "" {
		out = append(append(out, '#'), fragment...)
	}
	return string(out)
}

// overCovers checks that a change to the body changes what is signed.
func (r *reader) overCovers(n ast.Node, t template, d *Dialect) {
	if r.err != nil {
		return
	}
	covered := t.has(requestBody) || t.hashes()
	for i := range t {
		p := &t[i]
		switch p.source {
		case headersPHPJSON:
			r.headersPHP(n, p, d.headers)
			fallthrough
		case headerValue:
			for _, h := range p.refs {
				covered = covered || d.headers[h].value.hashes()
			}
		case requestURL:
			for _, q := range d.query {
				covered = covered || q.value.hashes()
			}
		case formSorted:
			if covered = true; d.form == nil {
				r.fail(n, "{form_sorted} is for a body that is a form: body.form")
			}
		}
	}
	r.overApart(n, t, d)
	if r.err == nil && !covered {
		r.fail(n, "over must hold {body}, or {body.sha256} or {body.sha256_base64} itself or in a header or query that it signs, or {form_sorted}: otherwise the body could be changed unseen")
	}
}

// overApart checks that what is signed can be read in one way only: otherwise a
// signature over the type a.b and the body 123 would also fit the type a.b1 and
// the body 23. What comes from outside ends at a text before the body, and
// begins behind one after it; verifying refuses values that hold that text.
//
// Without a text between them may stand what nobody outside can move: the URL,
// which the receiver knows as its own; hashes, whose length is fixed; and PHP's
// JSON of headers, which is one object or [] and so ends where its bracket
// closes. For the same reason such JSON does not stand behind the body: a text
// before it would not show where it begins.
func (r *reader) overApart(n ast.Node, t template, d *Dialect) {
	if r.err != nil {
		return
	}
	behind := false // the body, or what is made of it and as free
	for i := range t {
		p := &t[i]
		switch {
		case p.source == requestBody || p.source == formSorted:
			if behind {
				r.fail(n, "over holds the body twice; once is enough")
			}
			behind = true
		case p.source == headersPHPJSON && behind:
			r.fail(n, "{headers_php_json:%s} must stand before the body, or nobody could tell where the body ends", p.text)
		case !p.loose(d):
		case behind && t[i-1].source != literal:
			r.fail(n, "before {%s} a text must stand, such as a dot: otherwise a part of one could be passed off as a part of the other", p.name())
		case !behind && i+1 < len(t) && t[i+1].source != literal:
			r.fail(n, "behind {%s} a text must stand, such as a dot: otherwise a part of one could be passed off as a part of the other", p.name())
		}
	}
}

// loose reports whether whoever sends a request chooses how long the value is.
func (p *piece) loose(d *Dialect) bool {
	if value := p.headerOf(d); value.alone(bodySHA256) || value.alone(bodySHA256Base64) {
		return false
	}
	return p.source.outside()
}

// headerOf is the template of the header that {header.NAME} names; nil for
// others.
func (p *piece) headerOf(d *Dialect) template {
	if p.source != headerValue {
		return nil
	}
	return d.headers[p.refs[0]].value
}

// name is what stands in the braces.
func (p *piece) name() string {
	if p.source == headerValue {
		return "header." + p.text
	}
	for i := range placeholders {
		if placeholders[i].source == p.source {
			return placeholders[i].name + p.text
		}
	}
	return p.text
}

// cut reports whether a value of what is signed could be cut in another place,
// since the text beside it stands earlier in both (SW-2).
func cut(value, text string, behind bool) bool {
	if behind {
		return strings.LastIndex(text+value, text) != 0
	}
	return strings.Index(value+text, text) != len(value)
}

// hashes reports whether the template holds a hash of the body.
func (t template) hashes() bool { return t.has(bodySHA256) || t.has(bodySHA256Base64) }

// appendSigned writes the placeholders that are made of other parts of the
// request.
func (p *piece) appendSigned(dst []byte, v *values) []byte {
	switch p.source {
	case bodySHA256:
		return appendSHA256(dst, v.body)
	case bodySHA256Base64:
		return appendSHA256Base64(dst, v.body)
	case formSorted:
		return appendFormSorted(dst, v.body)
	case headersPHPJSON:
		return p.appendHeadersPHP(dst, v)
	default: // headerValue
		value, _ := v.scratch.value(v.of, p.refs[0])
		return append(dst, bytes.TrimPrefix(value, []byte(p.or))...)
	}
}

func appendSHA256(dst, body []byte) []byte {
	sum := sha256.Sum256(body)
	return hex.AppendEncode(dst, sum[:])
}

func appendSHA256Base64(dst, body []byte) []byte {
	sum := sha256.Sum256(body)
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// appendFormSorted writes the members of a form as Twilio signs them: sorted
// by name, each name with its values behind it, each value once.
func appendFormSorted(dst, body []byte) []byte {
	form, _ := url.ParseQuery(string(body)) // what cannot be read is left out
	for _, name := range slices.Sorted(maps.Keys(form)) {
		all := slices.Clone(form[name])
		slices.Sort(all)
		for _, value := range slices.Compact(all) {
			dst = append(append(dst, name...), value...)
		}
	}
	return dst
}
