package inbox

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/signature"
)

// Tolerance is how far a request's timestamp may be from the receiver's clock.
const Tolerance = 5 * time.Minute

// key is a receiver's half of a secret: one of the two is set.
type key struct {
	hmac   []byte
	public ed25519.PublicKey
}

// parseKey reads a secret as it was handed to the receiver: "whsec_" and
// base64 of 24 to 64 bytes, or "whpk_" and base64 of an ed25519 public key
// (SW-3).
func parseKey(secret string) (key, error) {
	if text, ok := strings.CutPrefix(secret, "whpk_"); ok {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return key{}, errors.New("a whpk_ key is base64 of 32 bytes")
		}
		return key{public: raw}, nil
	}
	text, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return key{}, errors.New("a secret begins with whsec_ or whpk_")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < 24 || len(raw) > 64 {
		return key{}, errors.New("a whsec_ secret is base64 of 24 to 64 bytes")
	}
	return key{hmac: raw}, nil
}

// verify checks a request as SW-1 to SW-4 say: the three headers are there,
// the timestamp is near now, and one signature fits one key.
func verify(keys []key, h http.Header, body []byte, now time.Time) error {
	id, stamp, list := h.Get("webhook-id"), h.Get("webhook-timestamp"), h.Get("webhook-signature")
	if id == "" || stamp == "" || list == "" {
		return errors.New("webhook-id, webhook-timestamp or webhook-signature is missing")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return errors.New("webhook-timestamp is not a whole number of seconds")
	}
	if skew := now.Sub(time.Unix(seconds, 0)); skew > Tolerance || skew < -Tolerance {
		return fmt.Errorf("webhook-timestamp is %s away from the clock here", skew.Abs().Round(time.Second))
	}
	signed := make([]byte, 0, len(id)+len(stamp)+len(body)+2)
	signed = append(signed, id+"."+stamp+"."...)
	signed = append(signed, body...)
	for token := range strings.SplitSeq(list, " ") {
		version, text, ok := strings.Cut(token, ",")
		if !ok {
			return fmt.Errorf("webhook-signature holds %q, which has no version", token)
		}
		sig, err := signature.Base64.Decode(text) // which knows one text for each signature
		if err == nil && fits(keys, version, signed, sig) {
			return nil
		}
	}
	return errors.New("no signature fits")
}

func fits(keys []key, version string, signed, sig []byte) bool {
	for _, k := range keys {
		switch {
		case version == "v1" && k.hmac != nil:
			mac := hmac.New(sha256.New, k.hmac)
			mac.Write(signed)
			if hmac.Equal(mac.Sum(nil), sig) {
				return true
			}
		case version == "v1a" && k.public != nil:
			if ed25519.Verify(k.public, signed, sig) {
				return true
			}
		}
	}
	return false
}
