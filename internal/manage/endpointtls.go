package manage

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"grapnel/internal/hook"
)

// The bounds of an endpoint's certificates. Texts are counted in bytes.
const (
	maxChain       = 8
	maxAuthorities = 16
	maxPEM         = 32 << 10
	maxRSA         = 8192 // bits: what crypto/tls takes
)

// TLSInput is what to make of an endpoint's tls. A nil field stays as it is.
type TLSInput struct {
	None        bool    // all of it is set back
	Certificate *string // PEM; "": none
	// Key is the private key of Certificate, PEM; "" or hook.Hidden: it stays the one
	// that the endpoint has.
	Key hook.Secret
	CA  *string // PEM; "": the system's authorities
}

func (m *Manager) fillTLS(e *hook.Endpoint, in *TLSInput, now time.Time) error {
	if in.None {
		e.TLS = nil
		return nil
	}
	var out hook.EndpointTLS
	if e.TLS != nil {
		out = *e.TLS
	}
	if in.CA != nil {
		text, _, err := certificates("/tls/ca", *in.CA, maxAuthorities)
		if err != nil {
			return err
		}
		out.CA = text
	}
	if in.Certificate != nil {
		if err := m.fillCertificate(&out, e, in, now); err != nil {
			return err
		}
	} else if !keepsKey(in.Key) {
		return hook.Invalid("/tls/certificate", "is missing: a key comes with the certificate that it is for")
	}
	if e.TLS = &out; out == (hook.EndpointTLS{}) {
		e.TLS = nil
	}
	return nil
}

func keepsKey(key hook.Secret) bool { return len(key) == 0 || string(key) == hook.Hidden }

// fillCertificate takes over a certificate with its key.
func (m *Manager) fillCertificate(out *hook.EndpointTLS, e *hook.Endpoint, in *TLSInput, now time.Time) error {
	text, chain, err := certificates("/tls/certificate", *in.Certificate, maxChain)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		if !keepsKey(in.Key) {
			return hook.Invalid("/tls/key", "is there without a certificate: give both, or none")
		}
		out.Certificate, out.Key = "", ""
		return nil
	}
	if text != out.Certificate && now.After(chain[0].NotAfter) { // one that has expired since may be put again
		return hook.Invalid("/tls/certificate", "expired at %s: give one that is valid", chain[0].NotAfter.UTC().Format(time.RFC3339))
	}
	stored, err := m.Ring.OpenTLSKey(e)
	if err != nil {
		return err
	}
	given := stored
	if !keepsKey(in.Key) {
		if given, err = privateKey(in.Key); err != nil {
			return err
		}
	}
	if given == "" {
		return hook.Invalid("/tls/key", "is missing: it is the private key of the certificate")
	}
	if err := fits(given, chain[0]); err != nil {
		return err
	}
	out.Certificate = text
	if isKeyOf(stored, given) {
		return nil // sealed as it is
	}
	out.Key, err = m.Ring.SealTLSKey(given, e)
	return err
}

// isKeyOf reports whether two private keys are the same.
func isKeyOf(stored, given hook.Secret) bool {
	a, errA := parseKey(stored)
	b, errB := parseKey(given)
	same, ok := a.(interface{ Equal(crypto.PrivateKey) bool })
	return errA == nil && errB == nil && ok && same.Equal(b)
}

// certificates reads the certificates of a PEM text, and writes them without what may
// stand around them.
func certificates(at, text string, most int) (clean string, list []*x509.Certificate, err error) {
	if strings.TrimSpace(text) == "" {
		return "", nil, nil
	}
	if len(text) > maxPEM {
		return "", nil, hook.Invalid(at, "has %d bytes, at most %d are allowed", len(text), maxPEM)
	}
	var out strings.Builder
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.Contains(block.Type, "PRIVATE KEY") {
			return "", nil, hook.Invalid(at, "holds a private key, which would be shown: give it as key, and the certificates alone here")
		}
		if block.Type != "CERTIFICATE" {
			return "", nil, hook.Invalid(at, "holds a block that is no certificate: want CERTIFICATE blocks alone")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", nil, hook.Invalid(at, "certificate %d cannot be read", len(list)+1)
		}
		if list = append(list, c); len(list) > most {
			return "", nil, hook.Invalid(at, "holds more than %d certificates", most)
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}); err != nil {
			return "", nil, err
		}
	}
	if len(list) == 0 {
		return "", nil, hook.Invalid(at, "holds no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----")
	}
	return out.String(), list, nil
}

const keyField = "/tls/key"

// privateKey reads a private key in PEM and writes it as PKCS #8. It never quotes it.
func privateKey(text hook.Secret) (hook.Secret, error) {
	if len(text) > maxPEM {
		return "", hook.Invalid(keyField, "has %d bytes, at most %d are allowed", len(text), maxPEM)
	}
	key, err := parseKey(text)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", hook.Invalid(keyField, "is of a kind that is not known: want RSA, ECDSA or Ed25519")
	}
	return hook.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// parseKey reads the first private key of a text, whichever form it has.
func parseKey(text hook.Secret) (crypto.PrivateKey, error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, hook.Invalid(keyField, "holds no private key in PEM: it begins with -----BEGIN PRIVATE KEY-----")
		}
		var key crypto.PrivateKey
		var err error
		switch {
		case block.Type == "EC PARAMETERS": // which openssl puts before
			continue
		case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["Proc-Type"] != "":
			return nil, hook.Invalid(keyField, "is encrypted: give it without a passphrase; it is encrypted here again")
		case block.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case block.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case block.Type == "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			return nil, hook.Invalid(keyField, "holds a block that is no private key")
		}
		if err != nil {
			return nil, hook.Invalid(keyField, "cannot be read as a private key")
		}
		return key, nil
	}
}

// fits refuses a key that is not the certificate's.
func fits(text hook.Secret, leaf *x509.Certificate) error {
	key, err := parseKey(text)
	if err != nil {
		return err
	}
	var same bool
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() > maxRSA {
			return hook.Invalid(keyField, "has %d bits, at most %d are allowed", k.N.BitLen(), maxRSA)
		}
		same = k.PublicKey.Equal(leaf.PublicKey)
	case *ecdsa.PrivateKey:
		same = k.PublicKey.Equal(leaf.PublicKey)
	case ed25519.PrivateKey:
		public, _ := k.Public().(ed25519.PublicKey)
		same = public.Equal(leaf.PublicKey)
	default:
		return hook.Invalid(keyField, "is of a kind that is not known: want RSA, ECDSA or Ed25519")
	}
	if !same {
		return hook.Invalid(keyField, "is not that of the certificate: its first one must be the key's own")
	}
	return nil
}
