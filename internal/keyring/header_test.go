package keyring_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/keyring"
)

// case 104: the values of credentials are sealed, bound to their endpoint and
// name; those of folders from before are as they were.
func TestHeadersAreSealed(t *testing.T) {
	t.Parallel()
	ring := open(t, keyring.Source{Env: keyring.NewKey()})
	plain := []hook.Header{
		{Name: "X-Team", Value: "a"}, {Name: "AUTHORIZATION", Value: "Bearer 1"}, {Name: "Cookie", Value: "2"}, {Name: "X-Cookie", Value: "3"},
		{Name: "X-Api-Key", Value: "4"}, {Name: "My-ApiKey-Id", Value: "5"}, {Name: "X-Token", Value: ""}, {Name: "credentials", Value: "6"},
	}
	sealed, err := ring.SealHeaders(plain, "acme", "ep_1")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, h := range sealed {
		if h.Sealed == "" {
			shown = append(shown, h.Name)
		} else if h.Value != "" {
			t.Errorf("%s is sealed and in clear", h.Name)
		}
	}
	if diff := cmp.Diff([]string{"X-Team", "X-Cookie", "X-Token"}, shown); diff != "" {
		t.Error(diff)
	}
	again, err := ring.SealHeaders(sealed, "acme", "ep_1")
	if diff := cmp.Diff(sealed, again); err != nil || diff != "" {
		t.Errorf("sealed twice: %v %s", err, diff)
	}
	for what, headers := range map[string][]hook.Header{"sealed": sealed, "from before": plain} {
		opened, err := ring.OpenHeaders(headers, "acme", "ep_1")
		if diff := cmp.Diff(plain, opened); err != nil || diff != "" {
			t.Errorf("%s: %v %s", what, err, diff)
		}
	}
	moved := []hook.Header{{Name: "X-Other-Token", Sealed: sealed[1].Sealed}}
	for what, err := range map[string]error{
		"another endpoint": second(ring.OpenHeaders(sealed, "acme", "ep_2")),
		"another tenant":   second(ring.OpenHeaders(sealed, "other", "ep_1")),
		"another name":     second(ring.OpenHeaders(moved, "acme", "ep_1")),
	} {
		if err == nil || strings.Contains(err.Error(), "Bearer") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second(_ []hook.Header, err error) error { return err }
