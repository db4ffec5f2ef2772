package signature

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"

	"grapnel/internal/hook"
)

// The prefixes by which Standard Webhooks tells its keys apart (SW-3).
const (
	SymmetricPrefix = "whsec_"
	PrivatePrefix   = "whsk_"
	PublicPrefix    = "whpk_"
)

// The sizes that a symmetric key may have in bytes (SW-3), and that of a new
// one.
const (
	MinSymmetric = 24
	MaxSymmetric = 64
	newSymmetric = 32
)

// NewSymmetric makes a symmetric secret: whsec_ and the base64 of 32 random
// bytes.
func NewSymmetric() hook.Secret {
	var b [newSymmetric]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hook.Secret(Base64.Append([]byte(SymmetricPrefix), b[:]))
}

// NewPrivate makes an ed25519 secret: whsk_ and the base64 of the 64 bytes of
// seed and public key.
func NewPrivate() hook.Secret {
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:])
	return hook.Secret(Base64.Append([]byte(PrivatePrefix), ed25519.NewKeyFromSeed(seed[:])))
}

// ParseSymmetric reads a whsec_ secret and returns its key bytes. It is as
// strict as the strictest library of a receiver: standard padded base64 and
// nothing around it, 24 to 64 bytes.
func ParseSymmetric(s hook.Secret) ([]byte, error) {
	key, err := decodeKey(string(s), SymmetricPrefix, "24 to 64 random bytes")
	if err != nil {
		return nil, err
	}
	if len(key) < MinSymmetric || len(key) > MaxSymmetric {
		return nil, hook.Errorf(hook.CodeInvalid, "the secret holds %d bytes behind %s; it must hold %d to %d", len(key), SymmetricPrefix, MinSymmetric, MaxSymmetric)
	}
	return key, nil
}

// ParsePrivate reads a whsk_ secret: the base64 of an ed25519 seed (32 bytes)
// or of seed and public key (64 bytes).
func ParsePrivate(s hook.Secret) (ed25519.PrivateKey, error) {
	b, err := decodeKey(string(s), PrivatePrefix, "an ed25519 seed of 32 bytes, or seed and public key, 64 bytes")
	if err != nil {
		return nil, err
	}
	if len(b) != ed25519.SeedSize && len(b) != ed25519.PrivateKeySize {
		return nil, hook.Errorf(hook.CodeInvalid, "the secret holds %d bytes behind %s; an ed25519 seed has 32, seed and public key have 64", len(b), PrivatePrefix)
	}
	key := ed25519.NewKeyFromSeed(b[:ed25519.SeedSize])
	if len(b) == ed25519.PrivateKeySize && !key.Equal(ed25519.PrivateKey(b)) {
		return nil, hook.Errorf(hook.CodeInvalid, "the last 32 bytes behind %s are not the public key of the first 32", PrivatePrefix)
	}
	return key, nil
}

// ParsePublic reads a whpk_ public key.
func ParsePublic(s string) (ed25519.PublicKey, error) {
	b, err := decodeKey(s, PublicPrefix, "an ed25519 public key of 32 bytes")
	if err != nil {
		return nil, err
	}
	if len(b) != ed25519.PublicKeySize {
		return nil, hook.Errorf(hook.CodeInvalid, "the key holds %d bytes behind %s; an ed25519 public key has 32", len(b), PublicPrefix)
	}
	return ed25519.PublicKey(b), nil
}

// PublicKeyOf is the whpk_ text of a whsk_ secret: what its receiver needs,
// and no secret.
func PublicKeyOf(s hook.Secret) (string, error) {
	key, err := ParsePrivate(s)
	if err != nil {
		return "", err
	}
	return string(Base64.Append([]byte(PublicPrefix), key[ed25519.SeedSize:])), nil
}

// decodeKey takes the prefix off and decodes the rest. Its errors show no part
// of the key.
func decodeKey(s, prefix, what string) ([]byte, error) {
	enc, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return nil, hook.Errorf(hook.CodeInvalid, "the key does not begin with %s; it must be %s and the base64 of %s", prefix, prefix, what)
	}
	if strings.TrimSpace(enc) != enc {
		return nil, hook.Errorf(hook.CodeInvalid, "the key has white space before or after it")
	}
	if strings.ContainsAny(enc, "-_") {
		return nil, hook.Errorf(hook.CodeInvalid, "the key is in base64url (it holds - or _); receivers' libraries want standard base64, with + and /")
	}
	key, err := Base64.Decode(enc)
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "what follows %s is not standard base64 with its padding", prefix)
	}
	return key, nil
}
