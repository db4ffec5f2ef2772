package dialect

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"grapnel/internal/hook"
	"grapnel/internal/signature"
)

// signing is one of the section sign: how one signature header is made.
type signing struct {
	header string
	over   []run
	with   []scheme // one for each form, in the order of secret.forms
	join   string
	all    bool // every key signs; else only the newest
	value  template
}

// run is a stretch of what is signed: a text, or the body.
type run struct {
	text template // nil: the body
}

// scheme is how a key of one form signs.
type scheme struct {
	form           form
	algorithm      signature.Algorithm
	encoding       signature.Encoding
	prefix, suffix string // around the signature
}

func (r *reader) signings(n ast.Node, d *Dialect) []signing {
	var out []signing
	for _, e := range r.list(n, "sign") {
		o := r.object(e, "an entry of sign", "header!", "over!", "with!", "join", "value")
		s := signing{header: r.text(o, "header", ""), all: o.has("join"), join: r.text(o, "join", "")}
		r.headerName(o.node("header"), s.header, d)
		s.over = r.over(o.node("over"), d)
		for _, w := range r.list(o.node("with"), "with") {
			s.with = append(s.with, r.scheme(w))
		}
		r.checkForms(o.node("with"), &s, d.secret.forms)
		s.value = r.template(o.node("value"), r.text(o, "value", "{signatures}"), inValue, nil)
		if r.err == nil && !s.value.has(allSignatures) {
			r.fail(o.node("value"), "value must hold {signatures}")
		}
		r.headerValue(o.node("value"), s.value)
		if r.err == nil && !s.value.separable() {
			r.fail(o.node("value"), "between two placeholders of value must stand a text, or nobody could take them apart")
		}
		r.headerText(o.node("join"), template{{text: s.join}})
		if s.all && (s.join == "" || strings.ContainsAny(s.join, encodingChars)) {
			r.fail(o.node("join"), "join must be a text that no signature holds, such as a comma")
		}
		out = append(out, s)
		d.names = append(d.names, s.header)
	}
	if r.err == nil {
		r.signaturesApart(n, out)
	}
	return out
}

// signaturesApart refuses a signature over all headers with a prefix where
// another signature would be one of them: each would have to be made first.
func (r *reader) signaturesApart(n ast.Node, all []signing) {
	for i := range all {
		for _, run := range all[i].over {
			for _, p := range run.text {
				for j := range all {
					if i != j && p.source == headersPHPJSON && strings.HasPrefix(all[j].header, p.text) {
						r.fail(n, "%s signs all headers that begin with %s, and %s would be one of them", all[i].header, p.text, all[j].header)
					}
				}
			}
		}
	}
}

// over cuts the template of what is signed into texts and bodies, so that the
// body is hashed where it lies.
func (r *reader) over(n ast.Node, d *Dialect) []run {
	t := r.template(n, r.textOf(n, "over"), inOver, d.headers)
	r.overCovers(n, t, d)
	var out []run
	var text template
	for _, p := range t {
		if p.source != requestBody {
			text = append(text, p)
			continue
		}
		if text != nil {
			out = append(out, run{text})
			text = nil
		}
		out = append(out, run{})
	}
	if text != nil {
		out = append(out, run{text})
	}
	return out
}

func (r *reader) scheme(n ast.Node) scheme {
	o := r.object(n, "an entry of with", "key!", "algorithm!", "encoding!", "text")
	s := scheme{
		form:      form(r.choice(o, "key", allForms...)),
		algorithm: signature.Algorithm(r.choice(o, "algorithm", string(signature.HMACSHA256), string(signature.HMACSHA1), string(signature.HMACSHA512), string(signature.Ed25519))),
		encoding:  signature.Encoding(r.choice(o, "encoding", string(signature.Hex), string(signature.Base64), string(signature.Base64URL))),
	}
	if r.err == nil && (s.algorithm == signature.Ed25519) != (s.form == formWhsk) {
		r.fail(o.node("algorithm"), "a key of the form %s cannot be used with %s: ed25519 goes with whsk, hmac with the others", s.form, s.algorithm)
	}
	t := r.template(o.node("text"), r.text(o, "text", "{signature}"), inText, nil)
	r.headerText(o.node("text"), t)
	at := -1
	for i, p := range t {
		switch {
		case p.source == oneSignature && at >= 0:
			r.fail(o.node("text"), "text must hold {signature} once")
		case p.source == oneSignature:
			at = i
		case at < 0:
			s.prefix = p.text
		default:
			s.suffix = p.text
		}
	}
	if at < 0 {
		r.fail(o.node("text"), "text must hold {signature}")
	}
	return s
}

// checkForms wants exactly one scheme for each form of secret, and puts them
// into the order of the forms.
func (r *reader) checkForms(n ast.Node, s *signing, forms []form) {
	if r.err != nil {
		return
	}
	sorted := make([]scheme, 0, len(forms))
	for _, f := range forms {
		found := 0
		for _, w := range s.with {
			if w.form == f {
				found++
				sorted = append(sorted, w)
			}
		}
		if found != 1 {
			r.fail(n, "with must hold one entry for each form in secret.forms; for %s it has %d", f, found)
			return
		}
	}
	if len(sorted) != len(s.with) {
		r.fail(n, "with holds an entry for a form that is not in secret.forms")
		return
	}
	s.with = sorted
}

func (t template) has(s source) bool {
	for _, p := range t {
		if p.source == s {
			return true
		}
	}
	return false
}

// Key is a secret that was parsed for one dialect. It can be kept and used by
// several goroutines. The zero Key signs nothing.
type Key struct {
	of      *Dialect
	form    form
	signers []signature.Signer // one for each entry of sign
}

// String hides the key.
func (Key) String() string { return hook.Secret("").String() }

// GoString hides the key from %#v.
func (Key) GoString() string { return hook.Secret("").String() }

// Key parses a secret. The error, a *hook.Error about the field /secret, says
// what a valid secret looks like and shows nothing of this one.
func (d *Dialect) Key(s hook.Secret) (Key, error) {
	f, err := d.formOf(string(s))
	if err != nil {
		return Key{}, err
	}
	k := Key{of: d, form: f, signers: make([]signature.Signer, len(d.sign))}
	if f == formWhsk {
		private, err := signature.ParsePrivate(s)
		if err != nil {
			return Key{}, atSecret(err)
		}
		for i := range k.signers {
			k.signers[i] = signature.NewPrivateKey(private)
		}
		return k, nil
	}
	raw, err := keyBytes(f, s)
	if err != nil {
		return Key{}, atSecret(err)
	}
	for i := range d.sign {
		if k.signers[i], err = signature.NewHMAC(d.sign[i].scheme(f).algorithm, raw); err != nil {
			return Key{}, atSecret(err)
		}
	}
	return k, nil
}

// scheme is how keys of a form sign. Load has checked that there is one.
func (s *signing) scheme(f form) *scheme {
	for i := range s.with {
		if s.with[i].form == f {
			return &s.with[i]
		}
	}
	return nil
}

func (d *Dialect) checkKeys(keys []Key) error {
	for i := range keys {
		if keys[i].of != d {
			return fmt.Errorf("key %d was not parsed by the dialect %s", i, d.name)
		}
	}
	if len(keys) == 0 && (d.secret.owner == SecretEndpoint || d.secret.owner == SecretTenant) {
		return fmt.Errorf("the dialect %s signs every request, but there is no key", d.name)
	}
	return nil
}

// scratch is what Header needs while it works. It is pooled, since what is
// passed to a hash would otherwise be allocated for each request.
type scratch struct {
	text  []byte // the headers' values, one after the other
	ends  []int  // where each ends
	over  []byte // the texts among the parts
	parts [][]byte
	joint []byte // the signatures' texts, joined
	raw   []byte // one signature
	values
}

// done gives s back, without what it refers to.
func (s *scratch) done(d *Dialect) {
	s.values = values{}
	d.scratch.Put(s)
}

// sign appends the value of the signature header i to s.text.
func (s *scratch) sign(g *signing, i int, keys []Key, v *values) {
	s.message(g.over, v)
	s.joint = s.joint[:0]
	if !g.all {
		keys = keys[:1]
	}
	for k := range keys {
		if k > 0 {
			s.joint = append(s.joint, g.join...)
		}
		w := g.scheme(keys[k].form)
		s.raw = keys[k].signers[i].Append(s.raw[:0], s.parts)
		s.joint = append(s.joint, w.prefix...)
		s.joint = w.encoding.Append(s.joint, s.raw)
		s.joint = append(s.joint, w.suffix...)
	}
	if g.value.alone(allSignatures) {
		s.text = append(s.text, s.joint...)
	} else {
		v.signature = s.joint
		s.text = g.value.append(s.text, v)
	}
	clear(s.parts) // so that the pool does not keep a body
}

// message sets s.parts to what is signed.
func (s *scratch) message(over []run, v *values) {
	s.over, s.parts = s.over[:0], s.parts[:0]
	var ends [8]int
	cut := ends[:0]
	for _, p := range over {
		s.over = p.text.append(s.over, v)
		cut = append(cut, len(s.over))
	}
	from := 0
	for i, p := range over {
		if p.text == nil {
			s.parts = append(s.parts, v.body)
		} else {
			s.parts = append(s.parts, s.over[from:cut[i]])
		}
		from = cut[i]
	}
}

// headerName checks the name of a header that the dialect sends and that no
// other has it.
func (r *reader) headerName(n ast.Node, name string, d *Dialect) {
	if r.err != nil {
		return
	}
	if name == "" || strings.Trim(name, tokenChars) != "" {
		r.fail(n, "%q is no header name", name)
		return
	}
	lower := strings.ToLower(name)
	if strings.HasPrefix(lower, "proxy-") || reservedHeaders[lower] {
		r.fail(n, "the header %s belongs to the connection; a dialect cannot set it", name)
	}
	if lower == "user-agent" && name != "User-Agent" {
		r.fail(n, "write User-Agent in this case: the HTTP client adds one of its own beside any other spelling")
	}
	for _, have := range d.names {
		if strings.EqualFold(have, name) {
			r.fail(n, "the header %s is set twice", name)
		}
	}
}

// encodingChars are what a signature's text consists of, in any encoding.
const encodingChars = "+/=-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// tokenChars are what a header's name may consist of (RFC 9110 section 5.6.2).
const tokenChars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// reservedHeaders are set by the HTTP client or change how the connection is
// used (case 75).
var reservedHeaders = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "keep-alive": true,
	"expect": true, "upgrade": true, "te": true, "trailer": true, "accept-encoding": true,
	"idempotency-key": true, "x-idempotency-key": true, // the HTTP client would send such a request twice on its own
}

// maxHeader is how long the literal parts of a header's value may be.
const maxHeader = 4096

// headerText checks that the literal parts of a header's value can be sent.
func (r *reader) headerText(n ast.Node, t template) {
	size := 0
	for _, p := range t {
		if size += len(p.text); size > maxHeader {
			r.fail(n, "a header's value is longer than %d bytes, which many servers refuse", maxHeader)
			return
		}
		for i := range len(p.text) {
			if c := p.text[i]; c < ' ' || c > '~' {
				r.fail(n, "a header's value holds printable ASCII only, not %#02x", c)
				return
			}
		}
	}
}

// headerValue is headerText for a whole value, whose ends a receiver trims.
func (r *reader) headerValue(n ast.Node, t template) {
	r.headerText(n, t)
	if len(t) == 0 {
		r.fail(n, "a header's value must not be empty")
	} else if strings.HasPrefix(t[0].text, " ") || strings.HasSuffix(t[len(t)-1].text, " ") {
		r.fail(n, "a header's value must not begin or end with a space")
	}
}
