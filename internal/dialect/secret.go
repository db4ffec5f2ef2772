package dialect

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"grapnel/internal/hook"
	"grapnel/internal/signature"
)

// SecretOwner says whose the secret is that signs an endpoint's deliveries,
// and whether one is made when none is given.
type SecretOwner uint8

// The owners.
const (
	SecretNone             SecretOwner = iota // the contract knows no signatures
	SecretEndpoint                            // each endpoint's; made when none is given
	SecretEndpointOptional                    // each endpoint's; unsigned without one
	SecretTenant                              // one for all endpoints of a tenant, made with the tenant
)

// form is what the text of a secret looks like.
type form string

const (
	formWhsec form = "whsec"
	formWhsk  form = "whsk"
	formText  form = "text"

	// The secret's text is an encoding of the key.
	formHex    form = "hex"
	formBase64 form = "base64"
)

// allForms are all that there are.
var allForms = []string{string(formWhsec), string(formWhsk), string(formText), string(formHex), string(formBase64)}

// encoding is how the secret's text is made of the key's bytes, where it is
// made of nothing else; "" for other forms.
func (f form) encoding() signature.Encoding {
	if f == formHex || f == formBase64 {
		return signature.Encoding(f)
	}
	return ""
}

// bare reports whether a secret of the form has no beginning to know it by.
func (f form) bare() bool { return f == formText || f.encoding() != "" }

// secretRule is the section secret of a dialect file.
type secretRule struct {
	owner  SecretOwner
	forms  []form
	bytes  int                // of a new secret of the form text
	write  signature.Encoding // how they are written
	unique bool               // of a tenant: no two have the same
}

func (r *reader) secretRule(n ast.Node) secretRule {
	o := r.object(n, "secret", "owner", "made!", "forms", "new", "unique")
	s := secretRule{bytes: 32, write: signature.Hex}
	owner := r.choice(o, "owner", "endpoint", "tenant")
	switch made := r.choice(o, "made", "always", "optional", "never"); {
	case r.err != nil:
		return s
	case made == "never":
		for _, key := range []string{"owner", "forms", "new", "unique"} {
			if o.has(key) {
				r.fail(o.node(key), "with made: never there is no secret, so %q does nothing", key)
			}
		}
		return s
	case !o.has("owner") || !o.has("forms"):
		r.fail(n, "secret lacks the key owner or forms")
		return s
	case owner == "endpoint" && made == "always":
		s.owner = SecretEndpoint
	case owner == "endpoint":
		s.owner = SecretEndpointOptional
	case made == "always":
		s.owner = SecretTenant
	default:
		r.fail(o.node("made"), "a tenant's secret is always made")
		return s
	}
	for _, f := range r.list(o.node("forms"), "forms") {
		switch name := form(r.textOf(f, "a form")); {
		case r.err != nil:
		case !slices.Contains(allForms, string(name)):
			r.fail(f, "there is no form %q; there are %s", name, strings.Join(allForms, ", "))
		case s.has(name):
			r.fail(f, "the form %s is named twice", name)
		case name.bare() && s.bare() != "":
			r.fail(f, "nothing tells secrets of the forms %s and %s apart", s.bare(), name)
		default:
			s.forms = append(s.forms, name)
		}
	}
	if r.err == nil && len(s.forms) == 0 {
		r.fail(o.node("forms"), "forms must name one form or more")
	}
	if bare := s.bare(); bare.encoding() != "" {
		s.write = bare.encoding()
	}
	if o.has("new") {
		r.newSecret(o.node("new"), &s)
	}
	if o.has("unique") {
		if s.unique = r.flag(o.node("unique"), "unique"); s.owner != SecretTenant {
			r.fail(o.node("unique"), "unique is for the secrets of tenants")
		}
	}
	return s
}

func (r *reader) newSecret(n ast.Node, s *secretRule) {
	o := r.object(n, "new", "bytes!", "encoding")
	if r.err != nil {
		return
	}
	switch made := s.forms[0]; {
	case !made.bare():
		r.fail(n, "a new secret has the form %s, so \"new\" does nothing; it is for %s, %s, %s", made, formText, formHex, formBase64)
	case made == formText && !o.has("encoding"):
		r.fail(n, "new lacks the key encoding")
	case made != formText && o.has("encoding"):
		r.fail(o.node("encoding"), "a secret of the form %s is written so, and \"encoding\" does nothing", made)
	}
	s.bytes = r.count(o.node("bytes"), "bytes", 16, 256)
	if o.has("encoding") {
		s.write = signature.Encoding(r.choice(o, "encoding", string(signature.Hex), string(signature.Base64), string(signature.Base64URL)))
	}
}

// bare is the one form of the secrets that have no beginning; "" if there is
// none.
func (s *secretRule) bare() form {
	for _, f := range s.forms {
		if f.bare() {
			return f
		}
	}
	return ""
}

func (s *secretRule) has(f form) bool {
	for _, have := range s.forms {
		if have == f {
			return true
		}
	}
	return false
}

// SecretOwner says whose the signing secret is.
func (d *Dialect) SecretOwner() SecretOwner { return d.secret.owner }

// SecretUnique reports whether no two tenants may have the same secret, since
// it selects the tenant.
func (d *Dialect) SecretUnique() bool { return d.secret.unique }

// NewSecret makes a secret of the dialect's form: for standard whsec_ and the
// base64 of 32 random bytes. It fails if the dialect knows no secret.
func (d *Dialect) NewSecret() (hook.Secret, error) {
	if d.secret.owner == SecretNone {
		return "", fmt.Errorf("the dialect %s knows no secrets", d.name)
	}
	switch d.secret.forms[0] {
	case formWhsec:
		return signature.NewSymmetric(), nil
	case formWhsk:
		return signature.NewPrivate(), nil
	}
	return d.newText(), nil
}

// PublicKey is the public half of a secret that is a private key, as whpk_…:
// what a receiver verifies with, and no secret. "" for other secrets.
func (d *Dialect) PublicKey(s hook.Secret) string {
	if f, err := d.formOf(string(s)); err != nil || f != formWhsk {
		return ""
	}
	public, err := signature.PublicKeyOf(s)
	if err != nil {
		return ""
	}
	return public
}

func (d *Dialect) newText() hook.Secret {
	b := make([]byte, d.secret.bytes)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return hook.Secret(d.secret.write.Append(nil, b))
}

// formOf tells a secret's form by its beginning.
func (d *Dialect) formOf(s string) (form, error) {
	switch {
	case d.secret.owner == SecretNone:
		return "", hook.Invalid("/secret", "the dialect %s does not sign, so it takes no secret", d.name)
	case s == "":
		return "", hook.Invalid("/secret", "the secret is empty")
	case d.secret.has(formWhsec) && strings.HasPrefix(s, signature.SymmetricPrefix):
		return formWhsec, nil
	case d.secret.has(formWhsk) && strings.HasPrefix(s, signature.PrivatePrefix):
		return formWhsk, nil
	case d.secret.bare() != "":
		return d.secret.bare(), nil
	case strings.HasPrefix(s, signature.PublicPrefix):
		return "", hook.Invalid("/secret", "this is a public key, which verifies but cannot sign; the secret of %s begins with %s", d.name, d.beginnings())
	}
	return "", hook.Invalid("/secret", "a secret of %s begins with %s", d.name, d.beginnings())
}

// beginnings says how the dialect's secrets begin, for errors.
func (d *Dialect) beginnings() string {
	var out []string
	for _, f := range d.secret.forms {
		switch f {
		case formWhsec:
			out = append(out, signature.SymmetricPrefix+" (the base64 of 24 to 64 random bytes follows)")
		case formWhsk:
			out = append(out, signature.PrivatePrefix+" (the base64 of an ed25519 private key follows)")
		}
	}
	return strings.Join(out, " or ")
}

// keyBytes checks a secret with which HMAC is made and returns the bytes of its
// key. Hex may be in either case.
func keyBytes(f form, s hook.Secret) ([]byte, error) {
	switch f {
	case formWhsec:
		return signature.ParseSymmetric(s)
	case formHex:
		key, err := hex.DecodeString(string(s))
		if err != nil {
			return nil, hook.Errorf(hook.CodeInvalid, "the secret must be the key in hex: two of 0-9 a-f for each byte, and nothing else")
		}
		return key, nil
	case formBase64:
		key, err := signature.Base64.Decode(string(s))
		if err != nil {
			return nil, hook.Errorf(hook.CodeInvalid, "the secret must be the key in base64: of A-Z a-z 0-9 + /, with its padding, and nothing else")
		}
		return key, nil
	}
	if !utf8.ValidString(string(s)) {
		return nil, hook.Errorf(hook.CodeInvalid, "the secret is not valid UTF-8")
	}
	return []byte(s), nil
}

// atSecret points an error of a secret at the field it came in.
func atSecret(err error) error {
	return &hook.Error{Code: hook.CodeInvalid, Field: "/secret", Message: err.Error()}
}
