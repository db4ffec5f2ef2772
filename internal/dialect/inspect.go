package dialect

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"grapnel/internal/hook"
	"grapnel/internal/signature"
)

// Inspection is what a received request says of itself, and which signatures
// fit, whatever its timestamp. It is for explaining; Verify decides.
type Inspection struct {
	Headers []HeaderSeen // those that are signed, then those that hold signatures
	// Timestamp is the text of the attempt's time, as the request carries it,
	// and StampHeader the header that it came in. Both are "" where it carries
	// none.
	Timestamp, StampHeader string
	// StampUnit is what the contract writes there: "seconds", "milliseconds", or
	// "a date". "" where the request carries none.
	StampUnit string
	Tokens    []TokenSeen
	// Gathered are the headers that are signed because of how their names begin.
	Gathered []GatheredHeader
}

// HeaderSeen is a header that the signature needs.
type HeaderSeen struct {
	Name   string
	Values []string // as they came; more or fewer than one is a flaw
	Holds  string   // the placeholder that it carries, such as event.id; signatures for a signature header
	Flaw   string   // what is wrong with its form, as a sentence, or ""
}

// TokenSeen is one signature in a header.
type TokenSeen struct {
	Header string
	Number int    // in its header, from 1
	Text   string // as it came
	// Kind names the scheme that it is written in, such as "v1, with the
	// base64 of hmac-sha256"; "" if it is none of the dialect's.
	Kind string
	// Miswritten says how it differs from the scheme's form where its bytes
	// could be read all the same, such as "it is written in base64url".
	Miswritten string
	Fits       []bool // for each of Received.Keys: it was made with it over this request
}

// Inspect looks at all that Verify needs, without stopping at the first flaw.
// At and Tolerance of r are not looked at.
func (d *Dialect) Inspect(r Received) *Inspection {
	out := &Inspection{}
	seen := d.look(&r)
	for _, c := range d.carriers {
		h := &d.headers[c.header]
		at := HeaderSeen{Name: h.name, Values: r.all(h.name), Holds: h.value.holds()}
		if len(at.Values) == 0 && h.gap {
			continue
		}
		if len(at.Values) == 1 && (at.Values[0] != "" || !c.read) && !seen.take(d, c, at.Values[0]) {
			at.Flaw = "it does not have the form of this contract, or contradicts another header"
		}
		out.Headers = append(out.Headers, at)
	}
	for i := range d.sign {
		g := &d.sign[i]
		at := HeaderSeen{Name: g.header, Values: r.all(g.header), Holds: "signatures"}
		if len(at.Values) == 1 && at.Values[0] != "" {
			if !seen.match(g.value, at.Values[0], g.header) {
				at.Flaw = "it does not have the form of this contract, or contradicts another header"
			} else {
				out.Tokens = append(out.Tokens, d.inspectTokens(i, seen)...)
			}
		}
		out.Headers = append(out.Headers, at)
	}
	if seen.checkBody(d) != nil { // nothing fits where the hash that is signed is that of another body
		for i := range out.Tokens {
			clear(out.Tokens[i].Fits)
		}
	}
	out.Gathered = d.gathered(&r)
	out.Timestamp, out.StampHeader, out.StampUnit = seen.stampSeen()
	return out
}

// all are a header's values, its name in any case.
func (r *Received) all(name string) []string {
	var out []string
	for key, values := range r.Header {
		if strings.EqualFold(key, name) {
			out = append(out, values...)
		}
	}
	return out
}

// holds names the placeholder that the value consists of, or is made of beside
// fixed texts; "" if there are several or none.
func (t template) holds() string {
	found := ""
	for _, piece := range t {
		for _, p := range placeholders {
			switch {
			case p.source != piece.source || piece.source == literal:
			case found != "":
				return ""
			default:
				found = p.name + piece.text
			}
		}
	}
	return found
}

// inspectTokens tries every signature of a header with every key.
func (d *Dialect) inspectTokens(i int, s *seen) []TokenSeen {
	g := &d.sign[i]
	texts := []string{s.values[allSignatures]}
	if g.all {
		texts = strings.Split(texts[0], g.join)
	}
	checks := s.checks(d, i)
	var out []TokenSeen
	for n, text := range texts[:min(len(texts), maxSignatures)] {
		at := TokenSeen{Header: g.header, Number: n + 1, Text: text, Fits: make([]bool, len(s.received.Keys))}
		raw, w := g.recognise(text)
		if w != nil {
			at.Kind = w.kind()
		} else {
			raw, w = g.readAnyhow(text, &at)
		}
		for j, k := range s.received.Keys {
			// Several forms may look the same; the key's own decides.
			if w != nil && checks != nil && k.of == d && g.scheme(k.form).sameAs(w) {
				at.Fits[j] = checks[j](raw)
			}
		}
		out = append(out, at)
	}
	return out
}

// checks are the checks of each key over what the header i signs; nil if the
// request does not carry all of that.
func (s *seen) checks(d *Dialect, i int) []func([]byte) bool {
	parts, err := s.parts(&d.sign[i])
	if err != nil {
		return nil
	}
	out := make([]func([]byte) bool, len(s.received.Keys))
	for j, k := range s.received.Keys {
		if k.of == d {
			out[j] = k.verifiers[i].Check(parts)
		}
	}
	return out
}

// recognise reads a signature by the first scheme that it is written in.
func (g *signing) recognise(text string) ([]byte, *scheme) {
	for i := range g.with {
		if raw, ok := g.with[i].read(text); ok && g.with[i].size(len(raw)) {
			return raw, &g.with[i]
		}
	}
	return nil, nil
}

// sizes are the algorithms' signature lengths in bytes.
var sizes = map[signature.Algorithm]int{signature.HMACSHA1: 20, signature.HMACSHA256: 32, signature.HMACSHA512: 64, signature.Ed25519: 64}

func (w *scheme) size(n int) bool { return sizes[w.algorithm] == n }

// sameAs reports whether two schemes write alike.
func (w *scheme) sameAs(o *scheme) bool {
	return w.prefix == o.prefix && w.suffix == o.suffix && w.encoding == o.encoding && w.algorithm == o.algorithm
}

func (w *scheme) kind() string {
	name := strings.Trim(w.prefix+w.suffix, " ,;:=\"")
	if name != "" {
		name += ": "
	}
	return name + string(w.algorithm) + " in " + string(w.encoding)
}

// lenient are the ways in which people write bytes, with what to say of a
// signature that is written so.
var lenient = []struct {
	name   string
	decode func(string) ([]byte, error)
}{
	{"base64", base64.StdEncoding.DecodeString},
	{"hex", hex.DecodeString},
	{"base64 without padding", base64.RawStdEncoding.DecodeString},
	{"base64url", base64.URLEncoding.DecodeString},
	{"base64url without padding", base64.RawURLEncoding.DecodeString},
	{"base64 of the text in hex", hexInBase64},
}

func hexInBase64(text string) ([]byte, error) {
	inner, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(string(inner))
}

// readAnyhow reads a signature that no scheme recognises, as far as its bytes
// can be told, and says in at how it is written wrongly.
func (g *signing) readAnyhow(text string, at *TokenSeen) ([]byte, *scheme) {
	trimmed := strings.TrimSpace(text)
	for i := range g.with {
		w := &g.with[i]
		rest, prefixed := strings.CutPrefix(trimmed, w.prefix)
		rest, suffixed := strings.CutSuffix(rest, w.suffix)
		raw, name := w.decodeAnyhow(rest)
		foreign := ""
		if raw == nil {
			// Another prefix, such as sha256= where there should be none.
			if end := strings.IndexAny(rest, "=:,"); end > 0 && end <= maxPrefix {
				foreign = rest[:end+1]
				raw, name = w.decodeAnyhow(strings.TrimSpace(rest[end+1:]))
			}
		}
		if raw == nil {
			continue
		}
		var wrong []string
		if trimmed != text {
			wrong = append(wrong, "it has white space around it")
		}
		switch {
		case foreign != "" && w.prefix == "":
			wrong = append(wrong, "it begins with "+foreign+", which does not belong there")
		case foreign != "":
			wrong = append(wrong, "it begins with "+foreign+" instead of "+w.prefix)
		case !prefixed || !suffixed:
			wrong = append(wrong, "it lacks "+w.prefix+w.suffix)
		}
		if name != string(w.encoding) {
			wrong = append(wrong, "it is written in "+name+" instead of "+string(w.encoding))
		}
		if len(wrong) == 0 {
			wrong = append(wrong, "it is not written in the canonical "+string(w.encoding))
		}
		at.Miswritten = strings.Join(wrong, " and ")
		return raw, w
	}
	return nil, nil
}

// maxPrefix is how long what stands before a signature can be to be taken for
// the name of its scheme.
const maxPrefix = 12

// decodeAnyhow decodes a signature of the scheme's size in any way of writing,
// and says in which; the scheme's own is tried first.
func (w *scheme) decodeAnyhow(text string) (raw []byte, name string) {
	if raw, err := w.encoding.Decode(text); err == nil && w.size(len(raw)) {
		return raw, string(w.encoding)
	}
	for _, l := range lenient {
		if raw, err := l.decode(text); err == nil && w.size(len(raw)) {
			return raw, l.name
		}
	}
	return nil, ""
}

// RawKeys are keys that use the given bytes as they are, one for each form of
// shared secret that the dialect has, whatever its secrets look like. They
// serve to find out in which wrong way a secret was read.
func (d *Dialect) RawKeys(raw []byte) []VerifyKey {
	var out []VerifyKey
	for _, f := range d.secret.forms {
		if f == formWhsk || len(raw) == 0 {
			continue
		}
		k := VerifyKey{of: d, form: f}
		for i := range d.sign {
			v, err := signature.NewHMAC(d.sign[i].scheme(f).algorithm, raw)
			if err != nil {
				return nil // Load has checked the algorithm
			}
			k.verifiers = append(k.verifiers, v)
		}
		out = append(out, k)
	}
	return out
}

// SecretBeginnings are the prefixes by which the dialect tells forms of
// secrets and public keys apart; none where a secret is any text.
func (d *Dialect) SecretBeginnings() []string {
	var out []string
	if d.secret.has(formWhsec) {
		out = append(out, signature.SymmetricPrefix)
	}
	if d.secret.has(formWhsk) {
		out = append(out, signature.PrivatePrefix, signature.PublicPrefix)
	}
	return out
}

// SecretEncoding is how a secret is written of which nothing but the key's bytes
// is in the text; "" where the text itself is the key or the key is behind a
// beginning.
func (d *Dialect) SecretEncoding() signature.Encoding { return d.secret.bare().encoding() }

// NewSecretOf makes a secret of the first form that has the wanted kind: one
// for ed25519, or one for HMAC. The error says what the dialect has instead.
func (d *Dialect) NewSecretOf(ed25519 bool) (hook.Secret, error) {
	switch {
	case d.secret.owner == SecretNone:
		return "", hook.Errorf(hook.CodeInvalid, "the dialect %s does not sign, so it has no secrets", d.name)
	case ed25519 && d.secret.has(formWhsk):
		return signature.NewPrivate(), nil
	case ed25519:
		return "", hook.Errorf(hook.CodeInvalid, "the dialect %s does not sign with ed25519", d.name)
	case d.secret.has(formWhsec):
		return signature.NewSymmetric(), nil
	case d.secret.bare() != "":
		return d.newText(), nil
	}
	return "", hook.Errorf(hook.CodeInvalid, "the dialect %s signs with ed25519 alone", d.name)
}

// SetHeader returns a copy of h in which the header has this one value,
// whatever the case of its name was.
func SetHeader(h http.Header, name, value string) http.Header {
	out := make(http.Header, len(h)+1)
	for key, values := range h {
		if !strings.EqualFold(key, name) {
			out[key] = slices.Clone(values)
		}
	}
	out[name] = []string{value}
	return out
}
