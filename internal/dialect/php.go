package dialect

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"grapnel/internal/hook"
)

// headersPHP reads {headers_php_json:PREFIX} in what the header own signs: it
// notes which of the dialect's headers have the prefix, by their names.
func (r *reader) headersPHP(n ast.Node, p *piece, headers []header) {
	for i := range headers {
		if strings.HasPrefix(headers[i].name, p.text) {
			p.refs = append(p.refs, i)
		}
	}
	if p.text == "" || strings.Trim(p.text, tokenChars) != "" {
		r.fail(n, "%q is not what the name of a header begins with", p.text)
	}
	slices.SortFunc(p.refs, func(a, b int) int { return strings.Compare(headers[a].name, headers[b].name) })
}

// SignsHeader reports whether the contract signs a header of any request by
// the beginning of its name, so that an endpoint may have one of its own
// (A2-S4). The case matters, as it does to receivers that gather such headers.
func (d *Dialect) SignsHeader(name string) bool {
	for i := range d.sign {
		for _, run := range d.sign[i].over {
			for _, p := range run.text {
				if p.source == headersPHPJSON && strings.HasPrefix(name, p.text) {
					return true
				}
			}
		}
	}
	return false
}

// appendHeadersPHP writes PHP's JSON of all headers of the request that have a
// prefix, but for the signature (A2-S1).
func (p *piece) appendHeadersPHP(dst []byte, v *values) []byte {
	from := len(dst)
	own := p.refs
	extra := withPrefix(v.extra, p.text)
	for len(own) > 0 || len(extra) > 0 {
		if len(extra) > 0 && (len(own) == 0 || extra[0].Name < v.of.headers[own[0]].name) {
			dst = appendMember(dst, extra[0].Name, []byte(sendable(extra[0].Value)))
			extra = extra[1:]
			continue
		}
		if value, ok := v.scratch.value(v.of, own[0]); ok {
			dst = appendMember(dst, v.of.headers[own[0]].name, value)
		}
		own = own[1:]
	}
	return closeMembers(dst, from)
}

// appendMember writes a member of an object with a text, in PHP's form of JSON
// (A2-S2).
func appendMember(dst []byte, name string, value []byte) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...) // the name of a header needs no escapes
	dst = append(dst, `":"`...)
	return append(stylePHP.quote(dst, value), '"')
}

// closeMembers makes an object of what appendMember wrote from there on. PHP
// writes no members as an empty list, since it knows no difference.
func closeMembers(dst []byte, from int) []byte {
	if len(dst) == from {
		return append(dst, "[]"...)
	}
	dst[from] = '{'
	return append(dst, '}')
}

// withPrefix are the headers whose names begin so, by their names; nil if
// there are none, which is the rule.
func withPrefix(headers []hook.Header, prefix string) []hook.Header {
	var out []hook.Header
	for _, h := range headers {
		if strings.HasPrefix(h.Name, prefix) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b hook.Header) int { return strings.Compare(a.Name, b.Name) })
	return out
}
