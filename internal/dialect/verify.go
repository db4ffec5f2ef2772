package dialect

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/signature"
)

// Flaw is why a received request does not verify.
type Flaw string

// The flaws.
const (
	MissingHeader   Flaw = "missing_header"
	MalformedHeader Flaw = "malformed_header"
	TooOld          Flaw = "too_old"
	TooNew          Flaw = "too_new"
	NoMatch         Flaw = "no_match"
	Unverifiable    Flaw = "unverifiable" // the request does not carry all that was signed
)

// Refusal says that a received request does not verify, and why.
type Refusal struct {
	Flaw    Flaw
	Header  string // the header that is wrong, or ""
	Message string // a sentence for whoever builds the receiver; it shows no key
}

// Error is the message.
func (e *Refusal) Error() string { return e.Message }

func refuse(f Flaw, header, format string, args ...any) error {
	return &Refusal{Flaw: f, Header: header, Message: fmt.Sprintf(format, args...)}
}

// maxSignatures bounds the work that a header full of signatures can cause.
const maxSignatures = 32

// VerifyKey is a secret, or a public key, that was parsed to verify with.
type VerifyKey struct {
	of        *Dialect
	form      form
	verifiers []signature.Verifier // one for each entry of sign
}

// String hides the key.
func (VerifyKey) String() string { return Key{}.String() }

// GoString hides the key from %#v.
func (VerifyKey) GoString() string { return Key{}.String() }

// VerifyKey parses a secret of the dialect, or a public key (whpk_) where it
// signs with ed25519.
func (d *Dialect) VerifyKey(s hook.Secret) (VerifyKey, error) {
	if d.secret.has(formWhsk) && strings.HasPrefix(string(s), signature.PublicPrefix) {
		public, err := signature.ParsePublic(string(s))
		if err != nil {
			return VerifyKey{}, atSecret(err)
		}
		k := VerifyKey{of: d, form: formWhsk}
		for range d.sign {
			k.verifiers = append(k.verifiers, signature.NewPublicKey(public))
		}
		return k, nil
	}
	key, err := d.Key(s)
	if err != nil {
		return VerifyKey{}, err
	}
	k := VerifyKey{of: d, form: key.form}
	for _, signer := range key.signers {
		k.verifiers = append(k.verifiers, signer.(signature.Verifier)) // all of our signers are
	}
	return k, nil
}

// Received is a request as a receiver got it.
type Received struct {
	Method, URL string
	Header      http.Header
	Body        []byte
	At          time.Time     // when it came
	Tolerance   time.Duration // by how much its timestamp may differ, either way
	Keys        []VerifyKey
}

// Verify checks every signature header of the dialect. nil means that each of
// them holds a signature that one of the keys made over exactly this request,
// and that its timestamp, if the dialect has one, is fresh. Anything else is a
// *Refusal. Values are taken in their canonical form alone, so that nothing
// about an accepted request can have been changed.
func (d *Dialect) Verify(r Received) error {
	if len(d.sign) == 0 {
		return refuse(Unverifiable, "", "the dialect %s does not sign", d.name)
	}
	seen := d.look(&r)
	for _, c := range d.carriers {
		h := &d.headers[c.header]
		came := r.all(h.name)
		switch empty := len(came) == 1 && came[0] == ""; {
		case len(came) == 0 && h.gap:
			continue
		case empty && !c.read: // it is signed as it is
		default:
			if _, err := r.header(h.name); err != nil {
				return err
			}
		}
		if !seen.take(d, c, came[0]) {
			return refuse(MalformedHeader, h.name, "the header %s does not have the form of this dialect, or contradicts another one", h.name)
		}
	}
	if err := seen.checkBody(d); err != nil {
		return err
	}
	for i := range d.sign {
		value, err := r.header(d.sign[i].header)
		if err != nil {
			return err
		}
		if !seen.match(d.sign[i].value, value, d.sign[i].header) {
			return refuse(MalformedHeader, d.sign[i].header, "the header %s does not have the form of this dialect, or contradicts another one", d.sign[i].header)
		}
		if err := seen.checkTime(); err != nil {
			return err
		}
		if err := d.verifyHeader(i, seen); err != nil {
			return err
		}
	}
	return nil
}

// header is the one value of a header, its name in any case.
func (r *Received) header(name string) (string, error) {
	value, count := "", 0
	for key, values := range r.Header {
		if strings.EqualFold(key, name) && len(values) > 0 {
			value, count = values[0], count+len(values)
		}
	}
	switch {
	case value == "" && count < 2:
		return "", refuse(MissingHeader, name, "the header %s is missing; is this request from the sender, and does a proxy pass the header on?", name)
	case count > 1:
		return "", refuse(MalformedHeader, name, "the header %s came %d times; it must come once", name, count)
	}
	return value, nil
}

// parts puts together what the header must have signed.
func (s *seen) parts(g *signing) ([][]byte, error) {
	var out [][]byte
	behind := false // the body
	for _, run := range g.over {
		if run.text == nil {
			behind = true
			out = append(out, s.received.Body)
			continue
		}
		var text []byte
		for i, p := range run.text {
			value, err := s.value(p)
			if err != nil {
				return nil, err
			}
			behind = behind || p.source == formSorted
			next := i + 1
			if behind {
				next = i - 1
			}
			if beside := run.text.literalAt(next); p.loose(s.of) && beside != "" && cut(value, beside, behind) {
				return nil, refuse(MalformedHeader, "", "the value %q must not hold %q", hook.Clip(value), beside)
			}
			text = append(text, value...)
		}
		out = append(out, text)
	}
	return out, nil
}

// literalAt is the text at a place of the template, or "".
func (t template) literalAt(i int) string {
	if i < 0 || i >= len(t) || t[i].source != literal {
		return ""
	}
	return t[i].text
}

// verifyHeader looks for one signature that one key made.
func (d *Dialect) verifyHeader(i int, s *seen) error {
	g := &d.sign[i]
	parts, err := s.parts(g)
	if err != nil {
		return err
	}
	tokens := []string{s.values[allSignatures]}
	if g.all {
		tokens = strings.Split(tokens[0], g.join)
	}
	if len(tokens) > maxSignatures {
		return refuse(MalformedHeader, g.header, "the header %s holds %d signatures; at most %d are looked at", g.header, len(tokens), maxSignatures)
	}
	usable := 0
	for _, k := range s.received.Keys {
		if k.of != d {
			return refuse(Unverifiable, "", "a key was not parsed by the dialect %s", d.name)
		}
		w := g.scheme(k.form)
		check := k.verifiers[i].Check(parts)
		for _, token := range tokens {
			raw, ok := w.read(token)
			if ok && check(raw) {
				return nil
			}
			if ok {
				usable++
			}
		}
	}
	if usable == 0 {
		return refuse(NoMatch, g.header, "the header %s holds no signature of the kind that the given secrets verify (%s)", g.header, s.wanted(g))
	}
	return refuse(NoMatch, g.header, "no signature in %s fits: the secret is another endpoint's, or the body is not byte for byte what was sent (verify before parsing, and do not write it anew)", g.header)
}

// wanted names the beginnings of signatures that the keys can verify.
func (s *seen) wanted(g *signing) string {
	var out []string
	for _, k := range s.received.Keys {
		w := g.scheme(k.form)
		text := w.prefix + "<" + string(w.encoding) + " of " + string(w.algorithm) + ">" + w.suffix
		if len(out) == 0 || out[len(out)-1] != text {
			out = append(out, text)
		}
	}
	return strings.Join(out, " or ")
}

// read takes the raw signature out of its text.
func (w *scheme) read(token string) ([]byte, bool) {
	token, ok1 := strings.CutPrefix(token, w.prefix)
	token, ok2 := strings.CutSuffix(token, w.suffix)
	raw, err := w.encoding.Decode(token)
	return raw, ok1 && ok2 && err == nil && len(raw) > 0
}
