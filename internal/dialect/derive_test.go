package dialect_test

import (
	"bytes"
	"strings"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

func TestSecretOf(t *testing.T) {
	t.Parallel()
	const contract = `
name: test
title: Test
request: {timeout: 10s, headers: {content-type: application/json, User-Agent: Test}, body: {json: "{event.data}"}}
subscription: any
secret: {owner: endpoint, made: always, forms: [FORM]}
sign:
  - {header: signature, over: "{body}", with: [{key: FORM, algorithm: ALGORITHM, encoding: base64}]}
success: [2xx]
retry: {on: any, waits: [1m]}
on_inactive: hold
`
	for form, want := range map[string]string{"whsec": "whsec_", "whsk": "whsk_", "text": "0707"} {
		algorithm := "hmac-sha256"
		if form == "whsk" {
			algorithm = "ed25519"
		}
		d := load(t, strings.NewReplacer("FORM", form, "ALGORITHM", algorithm).Replace(contract))
		seed := bytes.Repeat([]byte{7}, dialect.SeedSize)
		secret := secretOf(t, d, seed)
		if !strings.HasPrefix(string(secret), want) || secretOf(t, d, seed) != secret {
			t.Errorf("%s: begins with %.6s, or is not the same again", form, string(secret))
		}
		if _, err := d.Key(secret); err != nil {
			t.Errorf("%s: the dialect does not take it: %v", form, err)
		}
		if seed[0]++; secretOf(t, d, seed) == secret {
			t.Errorf("%s: another seed gives the same secret", form)
		}
		if _, err := d.SecretOf(seed[1:]); err == nil {
			t.Errorf("%s: takes a short seed", form)
		}
	}
	unsigned := load(t, `
name: test
title: Test
request: {timeout: 10s, headers: {content-type: application/json, User-Agent: Test}, body: {json: "{event.data}"}}
subscription: any
secret: {made: never}
success: [2xx]
retry: {on: any, waits: [1m]}
on_inactive: hold
`)
	if _, err := unsigned.SecretOf(make([]byte, dialect.SeedSize)); err == nil {
		t.Error("a dialect without secrets makes one")
	}
}

func secretOf(t *testing.T, d *dialect.Dialect, seed []byte) hook.Secret {
	t.Helper()
	s, err := d.SecretOf(seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
