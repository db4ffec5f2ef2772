package dialect_test

import (
	"strings"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/standard"
)

func TestNewSecretOf(t *testing.T) {
	t.Parallel()
	d, err := standard.Dialect()
	if err != nil {
		t.Fatal(err)
	}
	for ed25519, prefix := range map[bool]string{true: "whsk_", false: "whsec_"} {
		s, err := d.NewSecretOf(ed25519)
		if err != nil || !strings.HasPrefix(string(s), prefix) {
			t.Errorf("%v: %v", ed25519, err)
		}
		if _, err := d.VerifyKey(s); err != nil {
			t.Error(err)
		}
	}
	text := load(t, base)
	if s, err := text.NewSecretOf(false); err != nil || len(s) < 16 {
		t.Errorf("%d characters, %v", len(s), err)
	}
	if _, err := text.NewSecretOf(true); err == nil || !strings.Contains(err.Error(), "ed25519") {
		t.Error(err)
	}
}

// A key of another dialect fits nothing, and is no reason to fail.
func TestInspectForeignKeys(t *testing.T) {
	t.Parallel()
	acme := load(t, base)
	d, err := standard.Dialect()
	if err != nil {
		t.Fatal(err)
	}
	k, err := acme.VerifyKey("text")
	if err != nil {
		t.Fatal(err)
	}
	in := d.Inspect(dialect.Received{Header: map[string][]string{
		"webhook-id": {"a"}, "Webhook-Timestamp": {"1"}, "WEBHOOK-SIGNATURE": {"v1," + strings.Repeat("A", 43) + "= v2,x"},
	}, Keys: []dialect.VerifyKey{k, {}}})
	if len(in.Tokens) != 2 || in.Tokens[0].Kind == "" || in.Tokens[0].Fits[0] || in.Tokens[1].Kind != "" || in.Timestamp != "1" || len(in.Headers) != 3 {
		t.Errorf("%+v", in)
	}
}
