package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"grapnel/internal/hook"
)

// KeySize is the length of a key in bytes: AES-256.
const KeySize = 32

// sealedForm is the first part of everything sealed: the form of the rest.
const sealedForm = "k1"

// sealedText is strict, so that a sealed secret has one spelling.
var sealedText = base64.RawURLEncoding.Strict()

// Ring holds the keys that seal and open secrets. It never changes once it is
// open and is safe for use by many goroutines.
type Ring struct {
	origin string // where the keys came from, for messages
	keys   []key
}

type key struct {
	id   string
	raw  [KeySize]byte
	aead cipher.AEAD
}

// Origin says where the keys came from: the file's path, or the environment.
func (r *Ring) Origin() string { return r.origin }

// KeyIDs lists the ids of the ring's keys; the first one seals.
func (r *Ring) KeyIDs() []string {
	ids := make([]string, len(r.keys))
	for i := range r.keys {
		ids[i] = r.keys[i].id
	}
	return ids
}

// LogValue shows the ids alone.
func (r *Ring) LogValue() slog.Value {
	return slog.GroupValue(slog.String("origin", r.origin), slog.String("keys", strings.Join(r.KeyIDs(), ",")))
}

// String shows the ids alone.
func (r *Ring) String() string {
	return "keyring " + r.origin + " (" + strings.Join(r.KeyIDs(), ", ") + ")"
}

// GoString is String: %#v shows no key either.
func (r *Ring) GoString() string { return r.String() }

// Seal encrypts a secret for one record of a tenant, in the form
// k1.<key id>.<base64url of nonce, ciphertext and tag>.
func (r *Ring) Seal(s hook.Secret, tenant, record string) (hook.Sealed, error) {
	if s == "" {
		return "", fmt.Errorf("seal the secret of %s: it is empty", record)
	}
	k := &r.keys[0]
	sealed := k.aead.Seal(nil, nil, []byte(s), boundTo(k.id, tenant, record))
	return hook.Sealed(sealedForm + "." + k.id + "." + sealedText.EncodeToString(sealed)), nil
}

// Open decrypts what Seal made for the same tenant and record. The error says
// whether the key is missing, or the text was changed or belongs elsewhere.
func (r *Ring) Open(s hook.Sealed, tenant, record string) (hook.Secret, error) {
	id, text, ok := splitSealed(s)
	if !ok {
		return "", fmt.Errorf("open the secret of %s: it is not in a form that this version knows", record)
	}
	k := r.find(id)
	if k == nil {
		return "", fmt.Errorf("open the secret of %s: it is sealed with key %q, and %s has only %s: put that key back",
			record, id, r.origin, strings.Join(r.KeyIDs(), ", "))
	}
	b, err := sealedText.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("open the secret of %s: it is damaged: %w", record, err)
	}
	plain, err := k.aead.Open(nil, nil, b, boundTo(id, tenant, record))
	if err != nil {
		return "", fmt.Errorf("open the secret of %s: it was changed, or sealed for another tenant or record", record)
	}
	return hook.Secret(plain), nil
}

// KeyIDOf is the id of the key that sealed a secret, "" if the secret is not in
// a form that this version knows.
func KeyIDOf(s hook.Sealed) string {
	id, _, _ := splitSealed(s)
	return id
}

// splitSealed takes the form apart: the key's id, and nonce, ciphertext and tag
// as text.
func splitSealed(s hook.Sealed) (id, text string, ok bool) {
	form, rest, _ := strings.Cut(string(s), ".")
	if id, text, ok = strings.Cut(rest, "."); form != sealedForm || !ok {
		return "", "", false
	}
	return id, text, true
}

// Covers reports whether the ring has what sealed all of these secrets, as an
// error (ErrOtherKey) that names the keys that it lacks. Unasked, a missing key
// shows only when a request is to be signed.
func (r *Ring) Covers(secrets iter.Seq[hook.Sealed]) error {
	var missing []string
	for s := range secrets {
		if id := KeyIDOf(s); id != "" && r.find(id) == nil && !slices.Contains(missing, id) {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("%w: secrets in the store are sealed with %s, and %s has only %s", ErrOtherKey,
		strings.Join(missing, ", "), r.origin, strings.Join(r.KeyIDs(), ", "))
}

// Derive makes a 32-byte key for another purpose (such as authenticating
// cursors) from the ring's first key, by HKDF with SHA-256. Equal purposes
// give equal keys, also after a restart.
func (r *Ring) Derive(purpose string) ([]byte, error) {
	return r.keys[0].derive(purpose)
}

// DeriveAll is Derive from every key of the ring, in their order: while keys are
// changed, other servers still make things with another first key.
func (r *Ring) DeriveAll(purpose string) ([][]byte, error) {
	all := make([][]byte, len(r.keys))
	for i := range r.keys {
		var err error
		if all[i], err = r.keys[i].derive(purpose); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (k *key) derive(purpose string) ([]byte, error) {
	b, err := hkdf.Key(sha256.New, k.raw[:], nil, "grapnel "+purpose, KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key for %s: %w", purpose, err)
	}
	return b, nil
}

func (r *Ring) find(id string) *key {
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}

// boundTo is the additional data: what a ciphertext belongs to. Lengths stand
// before the parts, so that no two records share one.
func boundTo(id, tenant, record string) []byte {
	b := make([]byte, 0, len(sealedForm)+len(id)+len(tenant)+len(record)+4*binary.MaxVarintLen32)
	for _, part := range []string{sealedForm, id, tenant, record} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

func newKey(raw []byte) (key, error) {
	k := key{id: keyID(raw)}
	copy(k.raw[:], raw)
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, fmt.Errorf("use key %s: %w", k.id, err)
	}
	k.aead, err = cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, fmt.Errorf("use key %s: %w", k.id, err)
	}
	return k, nil
}

// keyID names a key without telling anything about it.
func keyID(raw []byte) string {
	sum := sha256.Sum256(append([]byte("grapnel key id\x00"), raw...))
	return hex.EncodeToString(sum[:4])
}
