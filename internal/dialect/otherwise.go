package dialect

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"grapnel/internal/signature"
)

// What is in this file serves to find out what went wrong with a request; see
// the package explain.

// GatheredHeader is a received header that is signed because of how its name
// begins (A2-S1).
type GatheredHeader struct {
	Came string // its name as it came
	Name string // the name as it was sent, as far as that can be told
	Own  bool   // every request of the contract has it
}

// gathered finds them, sorted by the names that they came with.
func (d *Dialect) gathered(r *Received) []GatheredHeader {
	var out []GatheredHeader
	for _, prefix := range d.signedPrefixes() {
		for key := range r.Header {
			name := d.nameAsSent(key, prefix)
			if name == "" || d.signatureHeader(name) {
				continue
			}
			g := GatheredHeader{Came: key, Name: name}
			for i := range d.headers {
				g.Own = g.Own || d.headers[i].name == name && !d.headers[i].gap
			}
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b GatheredHeader) int { return strings.Compare(a.Came, b.Came) })
	return out
}

func (d *Dialect) signedPrefixes() []string {
	var out []string
	for i := range d.sign {
		for _, run := range d.sign[i].over {
			for _, p := range run.text {
				if p.source == headersPHPJSON && !slices.Contains(out, p.text) {
					out = append(out, p.text)
				}
			}
		}
	}
	return out
}

// SignsURL reports whether the URL is part of what is signed.
func (d *Dialect) SignsURL() bool {
	for i := range d.sign {
		for _, run := range d.sign[i].over {
			if run.text.has(requestURL) {
				return true
			}
		}
	}
	return false
}

// Likely are values that a header of the contract is likely to have: its text
// or its default, or what the catalogue has.
func (d *Dialect) Likely(name string) []string {
	for i := range d.headers {
		if d.headers[i].name != name || len(d.headers[i].value) != 1 {
			continue
		}
		switch p := &d.headers[i].value[0]; {
		case p.source == literal:
			return []string{p.text}
		case p.or != "":
			return []string{p.or}
		case p.source == eventType:
			return d.Catalogue()
		case p.source == eventEntity || p.source == eventAction:
			return d.halves(p)
		}
	}
	return nil
}

// halves are what a piece for one half of an event's name stands for, over the
// catalogue.
func (d *Dialect) halves(p *piece) []string {
	var out []string
	for _, name := range d.catalogue {
		if half := string(p.half(nil, name)); half != "" && !slices.Contains(out, half) {
			out = append(out, half)
		}
	}
	return out
}

// Members are the names in the outermost object of the contract's bodies, in
// their order; nil if that is not fixed.
func (d *Dialect) Members() []string { return slices.Clone(d.members) }

func (r *reader) outermost(body ast.Node) []string {
	m, ok := body.(*ast.MappingNode)
	if !ok || r.err != nil {
		return nil
	}
	for _, p := range r.pairs(m, "body") {
		if object, ok := p.value.(*ast.MappingNode); ok && p.key == "json" {
			var out []string
			for _, member := range r.members(object, "a JSON object") {
				out = append(out, member.key)
			}
			return out
		}
	}
	return nil
}

// hashes are the algorithms that are mistaken for each other.
var hashes = []signature.Algorithm{signature.HMACSHA1, signature.HMACSHA256, signature.HMACSHA512}

// OtherHashes are the dialect as it would be with each of the other hashes, by
// the name of its algorithm. They serve to tell a request that was signed with
// the wrong one.
func (d *Dialect) OtherHashes() map[string]*Dialect {
	out := map[string]*Dialect{}
	for _, a := range hashes {
		other := &Dialect{
			name: d.name, title: d.title, method: d.method, query: d.query, headers: d.headers, names: d.names,
			events: d.events, catalogue: d.catalogue, members: d.members, secret: d.secret, carriers: d.carriers,
		}
		other.scratch.New = func() any { return new(scratch) }
		changed := false
		for _, g := range d.sign {
			g.with = slices.Clone(g.with)
			for i := range g.with {
				if g.with[i].algorithm != signature.Ed25519 && g.with[i].algorithm != a {
					g.with[i].algorithm, changed = a, true
				}
			}
			other.sign = append(other.sign, g)
		}
		if changed {
			out[string(a)] = other
		}
	}
	return out
}

// Algorithms names what the dialect signs with, for people.
func (d *Dialect) Algorithms() string {
	var out []string
	for i := range d.sign {
		for _, w := range d.sign[i].with {
			if !slices.Contains(out, string(w.algorithm)) {
				out = append(out, string(w.algorithm))
			}
		}
	}
	return strings.Join(out, " and ")
}
