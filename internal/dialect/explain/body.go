package explain

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// mark is the byte order mark in UTF-8.
const mark = "\xef\xbb\xbf"

// wholeLimit is the largest body of which pairs of mistakes and JSON forms are
// tried; each costs a pass over the body.
const wholeLimit = 64 << 10

// bodies gathers different guesses of a body.
type bodies struct {
	out  []guess
	have map[[sha256.Size]byte]bool
}

func (b *bodies) add(body []byte, detail string, kinds ...Kind) {
	sum := sha256.Sum256(body)
	if b.have[sum] {
		return
	}
	b.have[sum] = true
	b.out = append(b.out, guess{body: body, kinds: kinds, detail: detail})
}

// bodyGuesses are the body as it is, then what may have been signed in its
// place, the simplest first.
func (w *work) bodyGuesses() []guess {
	b := &bodies{have: map[[sha256.Size]byte]bool{}}
	b.add(w.in.Body, "")
	single := bytesBefore(w.in.Body)
	for _, s := range single {
		b.add(s.body, s.detail, s.kinds...)
	}
	if len(w.in.Body) > wholeLimit {
		return b.out
	}
	if doc, err := parse(bytes.TrimPrefix(w.in.Body, []byte(mark))); err == nil {
		w.jsonGuesses(b, doc)
	}
	for _, s := range single {
		for _, t := range bytesBefore(s.body) {
			if t.kinds[0] != s.kinds[0] {
				b.add(t.body, s.detail+", and "+t.detail, s.kinds[0], t.kinds[0])
			}
		}
		if doc, err := parse(s.body); err == nil && (s.kinds[0] == QuotedBody || s.kinds[0] == Base64Body) {
			b.add(doc.write(style{}), s.detail+", and written anew as compact JSON", s.kinds[0], JSONCompact)
		}
	}
	return b.out
}

// bytesBefore are the bodies that can have become this one by a mistake that
// knows nothing of JSON.
func bytesBefore(body []byte) []guess {
	var out []guess
	add := func(k Kind, detail string, b []byte) {
		if len(b) > 0 && !bytes.Equal(b, body) {
			out = append(out, guess{body: b, kinds: []Kind{k}, detail: detail})
		}
	}
	add(NewlineAdded, "a line break was added to the end of the body", bytes.TrimSuffix(bytes.TrimSuffix(body, []byte("\n")), []byte("\r")))
	add(NewlineAdded, "line breaks or white space were added to the end of the body", bytes.TrimRight(body, " \t\r\n"))
	add(NewlineRemoved, "the line break at the end of the body was removed", join(body, "\n"))
	add(NewlineRemoved, "the line break (CRLF) at the end of the body was removed", join(body, "\r\n"))
	lf := bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
	add(LineEndings, "the body's line ends became CRLF", lf)
	add(LineEndings, "the body's CRLF line ends became LF", bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n")))
	add(ByteOrderMark, "a byte order mark was put before the body", bytes.TrimPrefix(body, []byte(mark)))
	if !bytes.HasPrefix(body, []byte(mark)) {
		add(ByteOrderMark, "the byte order mark before the body was removed", join([]byte(mark), string(body)))
	}
	text := strings.TrimSpace(string(body))
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if raw, err := e.DecodeString(text); err == nil {
			add(Base64Body, "the body was encoded in base64 after signing", raw)
		}
	}
	add(Base64Body, "the body was signed as base64, and decoded since", base64.StdEncoding.AppendEncode(nil, body))
	var inner string
	if json.Unmarshal(body, &inner) == nil {
		add(QuotedBody, "the body was written as a JSON text", []byte(inner))
	}
	add(Charset, "the body's bytes were taken for Latin-1 and written as UTF-8", latin1(body))
	return out
}

func join(a []byte, b string) []byte { return append(bytes.Clone(a), b...) }

// latin1 undoes one reading of UTF-8 as Latin-1; nil if there was none.
func latin1(body []byte) []byte {
	if !utf8.Valid(body) {
		return nil
	}
	var out []byte
	for _, r := range string(body) {
		if r > 0xff {
			return nil
		}
		out = append(out, byte(r))
	}
	return out
}
