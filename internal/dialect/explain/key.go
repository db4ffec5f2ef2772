package explain

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/signature"
)

// maxMisread bounds of how many secrets wrong forms are tried.
const maxMisread = 4

// keyGuesses are the secrets as they should be read, then as they are misread.
func (w *work) keyGuesses(d *dialect.Dialect) []guess {
	var out []guess
	for i, s := range w.in.Secrets {
		if k, err := d.VerifyKey(s.Value); err == nil {
			out = append(out, guess{key: k, secret: i})
		}
	}
	for i, s := range w.in.Secrets[:min(len(w.in.Secrets), maxMisread)] {
		for _, m := range w.misreadings(s) {
			for _, k := range d.RawKeys(m.raw) {
				out = append(out, guess{key: k, secret: i, kinds: []Kind{m.kind}, detail: m.detail})
			}
		}
	}
	return out
}

// misreading is a key that somebody may have made of a secret's text.
type misreading struct {
	raw    []byte
	kind   Kind
	detail string
}

// misreadings are the ways in which a secret is read wrongly, and the right
// readings of one that is written wrongly.
func (w *work) misreadings(s Secret) []misreading {
	text := strings.TrimSpace(string(s.Value))
	if text == "" {
		return nil
	}
	m := &misreader{name: s.Name}
	if e := w.in.Dialect.SecretEncoding(); e != "" {
		m.encoded(text, string(s.Value), e)
		return m.out
	}
	byText := len(w.in.Dialect.SecretBeginnings()) == 0
	switch {
	case text == string(s.Value):
	case byText:
		m.add([]byte(text), SecretLineBreak, "the white space around "+s.Name+" does not belong to the secret")
	default:
		m.add([]byte(s.Value), SecretLineBreak, "the white space around "+s.Name+" is part of the key")
	}
	if inner, quoted := unlist(text); quoted && byText {
		m.add([]byte(inner), SecretQuotes, "the quotes around "+s.Name+" do not belong to the secret")
	}
	if byText {
		m.text(text)
	} else {
		m.prefixed(text)
	}
	return m.out
}

type misreader struct {
	name string
	out  []misreading
}

func (m *misreader) add(raw []byte, k Kind, detail string) {
	m.out = append(m.out, misreading{raw: raw, kind: k, detail: detail})
}

// encoded is for contracts in which the secret's text is an encoding of the key.
func (m *misreader) encoded(text, whole string, e signature.Encoding) {
	m.add([]byte(text), SecretAsText, "the text of "+m.name+" was used as the key without decoding it from "+string(e))
	if inner, quoted := unlist(text); quoted {
		if raw, err := e.Decode(inner); err == nil {
			m.add(raw, SecretQuotes, "the quotes around "+m.name+" do not belong to the secret")
		}
	}
	if raw, err := e.Decode(text); err == nil && text != whole {
		m.add(raw, SecretLineBreak, "the white space around "+m.name+" does not belong to the secret")
	}
	m.add([]byte(text+"\n"), SecretLineBreak, "the text of "+m.name+" with a line break behind it was used as the key without decoding it")
	if raw, err := hex.DecodeString(text); err == nil && e != signature.Hex {
		m.add(raw, SecretHex, "the secret "+m.name+" was decoded from hex instead of "+string(e))
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && e != signature.Base64 {
		m.add(raw, SecretDecoded, "the secret "+m.name+" was decoded from base64 instead of "+string(e))
	}
}

// text is for contracts in which the secret's text is the key.
func (m *misreader) text(text string) {
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
		m.add(raw, SecretDecoded, "the secret "+m.name+" was decoded from base64 before it was used as the key")
	}
	if raw, err := base64.URLEncoding.DecodeString(text); err == nil {
		m.add(raw, SecretDecoded, "the secret "+m.name+" was decoded from base64url before it was used as the key")
	}
	if raw, err := hex.DecodeString(text); err == nil {
		m.add(raw, SecretHex, "the secret "+m.name+" was decoded from hex before it was used as the key")
	}
	m.add([]byte(text+"\n"), SecretLineBreak, "the line break behind "+m.name+" was taken for a part of the key")
	if rest, ok := strings.CutPrefix(text, signature.SymmetricPrefix); ok {
		m.add([]byte(rest), SecretPrefixLost, "the prefix "+signature.SymmetricPrefix+" was taken off "+m.name)
		if raw, err := base64.StdEncoding.DecodeString(rest); err == nil {
			m.add(raw, SecretDecoded, "the prefix was taken off "+m.name+" and the rest decoded from base64")
		}
	}
}

// prefixed is for contracts in which the key is base64 behind a prefix.
func (m *misreader) prefixed(text string) {
	const prefix = signature.SymmetricPrefix
	rest, ok := strings.CutPrefix(text, prefix)
	raw, err := signature.ParseSymmetric(hook.Secret(prefix + rest))
	switch {
	case err == nil && !ok:
		m.add(raw, SecretPrefixLost, "the prefix "+prefix+" is missing from "+m.name)
	case err != nil:
		m.loose(rest)
	}
	m.add([]byte(prefix+rest), SecretPrefixKept, "the whole text of "+m.name+", "+prefix+" included, was used as the key")
	m.add([]byte(rest), SecretAsText, "the text of "+m.name+" behind "+prefix+" was used as the key without decoding it")
	if raw, err := hex.DecodeString(rest); err == nil {
		m.add(raw, SecretHex, "the secret "+m.name+" was decoded from hex instead of base64")
	}
	m.add([]byte(prefix+rest+"\n"), SecretLineBreak, "the whole text of "+m.name+" with a line break behind it was used as the key")
	m.add([]byte(rest+"\n"), SecretLineBreak, "the text of "+m.name+" behind "+prefix+" with a line break was used as the key without decoding it")
}

// loose decodes what is not quite standard base64.
func (m *misreader) loose(rest string) {
	for _, form := range []struct {
		name   string
		decode *base64.Encoding
	}{
		{"base64 of another length", base64.StdEncoding}, // shorter or longer than the contract allows
		{"base64 without padding", base64.RawStdEncoding},
		{"base64url", base64.URLEncoding},
		{"base64url without padding", base64.RawURLEncoding},
	} {
		if raw, err := form.decode.DecodeString(rest); err == nil {
			m.add(raw, SecretBase64URL, "the secret "+m.name+" is written in "+form.name+", and is the right key otherwise")
		}
	}
}
