package signature_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
	"testing"

	"grapnel/internal/hook"
	"grapnel/internal/signature"
)

var algorithms = map[signature.Algorithm]func() hash.Hash{
	signature.HMACSHA1: sha1.New, signature.HMACSHA256: sha256.New, signature.HMACSHA512: sha512.New,
}

func TestHMACIsThatOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	parts := [][]byte{[]byte("id"), []byte("."), nil, bytes.Repeat([]byte("ü"), 5000)}
	for a, sum := range algorithms {
		for _, size := range []int{1, 24, 64, 65, 128, 129, 500} {
			key := bytes.Repeat([]byte{7}, size)
			ref := hmac.New(sum, key)
			ref.Write(bytes.Join(parts, nil))
			want := ref.Sum(nil)
			h, err := signature.NewHMAC(a, key)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 4 { // one signer, several goroutines
				wg.Go(func() {
					for range 20 {
						if got := h.Append([]byte("x"), parts); !bytes.Equal(got[1:], want) || got[0] != 'x' {
							t.Errorf("%s with a key of %d bytes: %x, want %x", a, size, got, want)
						}
					}
				})
			}
			wg.Wait()
			check := h.Check(parts)
			if !check(want) || check(want[1:]) || check(nil) || check(append(want, 0)) {
				t.Errorf("%s: Check is wrong", a)
			}
			want[3] ^= 1
			if check(want) {
				t.Errorf("%s: Check took a changed signature", a)
			}
		}
	}
	if _, err := signature.NewHMAC(signature.HMACSHA256, nil); err == nil { // case 108
		t.Error("an empty key was taken")
	}
	if _, err := signature.NewHMAC("hmac-md5", []byte("k")); err == nil {
		t.Error("hmac-md5 was taken")
	}
}

// The example of the Standard Webhooks specification, signed by its own
// libraries' tests.
func TestKnownVector(t *testing.T) {
	t.Parallel()
	key, err := signature.ParseSymmetric("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h, err := signature.NewHMAC(signature.HMACSHA256, key)
	if err != nil {
		t.Fatal(err)
	}
	raw := h.Append(nil, [][]byte{[]byte(`msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}`)})
	const want = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := string(signature.Base64.Append(nil, raw)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEd25519(t *testing.T) {
	t.Parallel()
	secret := signature.NewPrivate()
	priv, err := signature.ParsePrivate(secret)
	if err != nil {
		t.Fatal(err)
	}
	parts := [][]byte{[]byte("a"), []byte("bc")}
	sig := signature.NewPrivateKey(priv).Append(nil, parts)
	if !ed25519.Verify(priv.Public().(ed25519.PublicKey), []byte("abc"), sig) {
		t.Error("crypto/ed25519 refuses the signature")
	}
	text, err := signature.PublicKeyOf(secret)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := signature.ParsePublic(text)
	if err != nil {
		t.Fatal(err)
	}
	check := signature.NewPublicKey(pub).Check(parts)
	if !check(sig) || check(sig[1:]) || check(nil) {
		t.Error("Check is wrong")
	}
	seed := hook.Secret("whsk_" + base64.StdEncoding.EncodeToString(priv.Seed()))
	if short, err := signature.ParsePrivate(seed); err != nil || !short.Equal(priv) {
		t.Errorf("the seed alone gives another key (%v)", err)
	}
}

func TestSecretForms(t *testing.T) {
	t.Parallel()
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, n)) }
	good := []string{"whsec_" + b64(24), "whsec_" + b64(32), "whsec_" + b64(64), string(signature.NewSymmetric())}
	for _, s := range good {
		if _, err := signature.ParseSymmetric(hook.Secret(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	bad := map[string]string{
		"":                             "does not begin with whsec_",
		"whsec_":                       "0 bytes",
		b64(32):                        "does not begin with whsec_",
		"whsec_" + b64(23):             "23 bytes",
		"whsec_" + b64(65):             "65 bytes",
		"whsec_" + b64(32) + "\n":      "white space",
		" whsec_" + b64(32):            "does not begin",
		"whsec_" + b64(32)[:43]:        "padding",
		"whsec_" + b64(32)[:42] + "v=": "padding", // loose bits
		"whsec_" + strings.NewReplacer("+", "-", "/", "_").Replace(b64(32)): "base64url",
		"whsec_" + b64(15) + "\n" + b64(15):                                 "padding",
	}
	for s, want := range bad {
		_, err := signature.ParseSymmetric(hook.Secret(s))
		if hook.CodeOf(err) != hook.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", s, err, want)
		}
		if len(s) > 30 && err != nil && strings.Contains(err.Error(), s[10:20]) { // case 105
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	wrong := append(bytes.Clone(ed25519.NewKeyFromSeed(make([]byte, 32)))[:63], 1)
	for _, s := range []string{"whsk_", "whsk_" + b64(31), "whsk_" + base64.StdEncoding.EncodeToString(wrong), "whsec_" + b64(32)} {
		if _, err := signature.ParsePrivate(hook.Secret(s)); hook.CodeOf(err) != hook.CodeInvalid {
			t.Errorf("%q: %v", s, err)
		}
		if _, err := signature.PublicKeyOf(hook.Secret(s)); err == nil {
			t.Errorf("%q has a public key", s)
		}
	}
	if _, err := signature.ParsePublic("whpk_" + b64(33)); hook.CodeOf(err) != hook.CodeInvalid {
		t.Errorf("a public key of 33 bytes: %v", err)
	}
}

// FuzzEncoding: what decodes is the canonical text of its bytes.
func FuzzEncoding(f *testing.F) {
	for _, s := range []string{"", "00ff", "00FF", "0", "AA==", "AB==", "AAA=", "AAA=\n", "AA\r\n==", "-_==", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if raw, err := signature.Hex.Decode(text); err == nil && hex.EncodeToString(raw) != text {
			t.Errorf("hex took %q", text)
		}
		if raw, err := signature.Base64.Decode(text); err == nil && base64.StdEncoding.EncodeToString(raw) != text {
			t.Errorf("base64 took %q", text)
		}
	})
}

func BenchmarkHMAC(b *testing.B) {
	h, err := signature.NewHMAC(signature.HMACSHA256, bytes.Repeat([]byte{1}, 32))
	if err != nil {
		b.Fatal(err)
	}
	parts := [][]byte{[]byte("01890a5d-ac96-774b-bcce-b302099a8057.1700000000."), bytes.Repeat([]byte("x"), 1024)}
	dst := make([]byte, 0, 32)
	b.ReportAllocs()
	for b.Loop() {
		dst = h.Append(dst[:0], parts)
	}
}
