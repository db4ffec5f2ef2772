package dialect

import (
	"crypto/ed25519"
	"fmt"

	"grapnel/internal/hook"
	"grapnel/internal/signature"
)

// SeedSize is how many bytes SecretOf makes a secret of.
const SeedSize = ed25519.SeedSize

// SecretOf makes a secret of the dialect's form out of SeedSize bytes that
// nobody else knows: the same secret for the same bytes. It fails if the
// dialect knows no secret.
func (d *Dialect) SecretOf(seed []byte) (hook.Secret, error) {
	switch {
	case len(seed) != SeedSize:
		return "", fmt.Errorf("a secret is made of %d bytes, not of %d", SeedSize, len(seed))
	case d.secret.owner == SecretNone:
		return "", fmt.Errorf("the dialect %s knows no secrets", d.name)
	}
	switch d.secret.forms[0] {
	case formWhsec:
		return hook.Secret(signature.Base64.Append([]byte(signature.SymmetricPrefix), seed)), nil
	case formWhsk:
		return hook.Secret(signature.Base64.Append([]byte(signature.PrivatePrefix), ed25519.NewKeyFromSeed(seed))), nil
	}
	return hook.Secret(d.secret.write.Append(nil, seed)), nil
}
