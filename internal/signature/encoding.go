package signature

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// Encoding is how the bytes of a signature are written as text.
type Encoding string

// The encodings.
const (
	Hex       Encoding = "hex"       // lower case
	Base64    Encoding = "base64"    // RFC 4648 section 4: standard alphabet, padded
	Base64URL Encoding = "base64url" // RFC 4648 section 5: for URLs, without padding
)

// Valid reports whether the encoding is one of those above.
func (e Encoding) Valid() bool { return e == Hex || e == Base64 || e == Base64URL }

// Append appends the text of raw to dst.
func (e Encoding) Append(dst, raw []byte) []byte {
	switch e {
	case Hex:
		return hex.AppendEncode(dst, raw)
	case Base64URL:
		return base64.RawURLEncoding.AppendEncode(dst, raw)
	}
	return base64.StdEncoding.AppendEncode(dst, raw)
}

// Decode reads what Append wrote and nothing else: there is one text for each
// signature, so that a changed text never verifies. Go's decoders alone would
// pass upper-case hex, line breaks and loose padding bits.
func (e Encoding) Decode(text string) ([]byte, error) {
	var raw []byte
	var err error
	switch e {
	case Hex:
		raw, err = hex.DecodeString(text)
	case Base64URL:
		raw, err = base64.RawURLEncoding.DecodeString(text)
	default:
		raw, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil {
		return nil, err
	}
	if string(e.Append(nil, raw)) != text {
		return nil, fmt.Errorf("this is not the canonical %s of its bytes", e)
	}
	return raw, nil
}
