package dialect

import (
	"net/url"

	"github.com/goccy/go-yaml/ast"
)

// formField is one of body.form.
type formField struct {
	name  string // as it is written in the body, then "="
	value template
}

// form reads body.form: a body of the type application/x-www-form-urlencoded.
func (r *reader) form(n ast.Node, d *Dialect) []formField {
	var out []formField
	for _, p := range r.pairs(n, "form") {
		f := formField{name: url.QueryEscape(p.key) + "=", value: r.template(p.value, r.textOf(p.value, p.key), inBody, nil)}
		r.hasVendorIDs(p.value, f.value, d)
		if r.err == nil && (p.key == "" || !plain([]byte(p.key))) {
			r.fail(p.at, "a member of the form has a name of printable ASCII, not %q", p.key)
		}
		for _, have := range out {
			if have.name == f.name {
				r.fail(p.at, "the member %s of the form is set twice", p.key)
			}
		}
		out = append(out, f)
	}
	if r.err == nil && len(out) == 0 {
		r.fail(n, "the form is empty")
	}
	return out
}

// appendForm writes the form in the order of the file.
func (d *Dialect) appendForm(dst []byte, b *body) []byte {
	for i := range d.form {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = append(dst, d.form[i].name...)
		dst = append(dst, url.QueryEscape(string(b.plain(nil, d.form[i].value)))...)
	}
	return dst
}
