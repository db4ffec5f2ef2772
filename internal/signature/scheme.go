package signature

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1" // SHA-1 is what some contracts say; HMAC does not need its lost collision resistance
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
)

// Algorithm names a signing scheme.
type Algorithm string

// The algorithms.
const (
	HMACSHA1   Algorithm = "hmac-sha1"
	HMACSHA256 Algorithm = "hmac-sha256"
	HMACSHA512 Algorithm = "hmac-sha512"
	Ed25519    Algorithm = "ed25519"
)

// Signer signs messages with one key. It may be used by several goroutines.
type Signer interface {
	// Append appends the raw signature of the message, which is all parts one
	// after the other, to dst.
	Append(dst []byte, parts [][]byte) []byte
}

// Verifier checks signatures with one key. It may be used by several
// goroutines.
type Verifier interface {
	// Check prepares the message (all parts one after the other) and returns
	// a function that tells whether a raw signature is its. The function can
	// be asked often, and takes the same time for every wrong signature of
	// the right length.
	Check(parts [][]byte) func(sig []byte) bool
}

// HMAC signs and verifies with a shared key (RFC 2104).
type HMAC struct {
	size int
	// keyed has hashed the key's block already. A copy of it for each message
	// spares two blocks and, unlike a pool, keeps no memory while idle.
	keyed hash.Cloner
}

// NewHMAC makes the signer of one of the hmac algorithms.
func NewHMAC(a Algorithm, key []byte) (*HMAC, error) {
	var sum func() hash.Hash
	switch a {
	case HMACSHA1:
		sum = sha1.New
	case HMACSHA256:
		sum = sha256.New
	case HMACSHA512:
		sum = sha512.New
	default:
		return nil, fmt.Errorf("%q is not an HMAC algorithm: want %s, %s or %s", a, HMACSHA1, HMACSHA256, HMACSHA512)
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("the key of %s is empty", a)
	}
	keyed, ok := hmac.New(sum, key).(hash.Cloner)
	if !ok {
		return nil, fmt.Errorf("this build's %s cannot be copied", a)
	}
	keyed.Reset() // stores the state after the key's block
	if _, err := keyed.Clone(); err != nil {
		return nil, fmt.Errorf("copy a keyed %s: %w", a, err)
	}
	return &HMAC{size: keyed.Size(), keyed: keyed}, nil
}

// Append implements Signer.
func (h *HMAC) Append(dst []byte, parts [][]byte) []byte {
	mac, err := h.keyed.Clone()
	if err != nil {
		return dst // NewHMAC has tried it; an empty signature verifies nowhere
	}
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(dst)
}

// Check implements Verifier.
func (h *HMAC) Check(parts [][]byte) func([]byte) bool {
	want := h.Append(make([]byte, 0, h.size), parts)
	return func(sig []byte) bool { return subtle.ConstantTimeCompare(want, sig) == 1 }
}

// PrivateKey signs and verifies with ed25519 (RFC 8032, no prehash).
type PrivateKey struct{ key ed25519.PrivateKey }

// NewPrivateKey makes the signer of a key, as ParsePrivate returns it.
func NewPrivateKey(key ed25519.PrivateKey) *PrivateKey { return &PrivateKey{key} }

// Append implements Signer.
func (k *PrivateKey) Append(dst []byte, parts [][]byte) []byte {
	return append(dst, ed25519.Sign(k.key, bytes.Join(parts, nil))...)
}

// Public is the verifying half.
func (k *PrivateKey) Public() *PublicKey {
	return &PublicKey{ed25519.PublicKey(k.key[ed25519.SeedSize:])}
}

// Check implements Verifier.
func (k *PrivateKey) Check(parts [][]byte) func([]byte) bool { return k.Public().Check(parts) }

// PublicKey verifies with ed25519.
type PublicKey struct{ key ed25519.PublicKey }

// NewPublicKey makes the verifier of a key, as ParsePublic returns it.
func NewPublicKey(key ed25519.PublicKey) *PublicKey { return &PublicKey{key} }

// Check implements Verifier.
func (k *PublicKey) Check(parts [][]byte) func([]byte) bool {
	message := bytes.Join(parts, nil)
	return func(sig []byte) bool { return ed25519.Verify(k.key, message, sig) }
}
