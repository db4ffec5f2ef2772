package hook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"grapnel/internal/hook"
)

func TestMatchesType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		patterns []string
		name     string
		want     bool
	}{
		{nil, "a.b", true},
		{[]string{"a.b"}, "a.b", true},
		{[]string{"a.b"}, "a.b.c", false},
		{[]string{"x", "a.*"}, "a.b.c", true},
		{[]string{"a.*"}, "a", false},
		{[]string{"a.*"}, "ab.c", false},
		{[]string{"*"}, "a", false},
		{[]string{"a*"}, "ab", false},
		{nil, "grapnel.endpoint.disabled", false},
		{[]string{"grapnel.*"}, "grapnel.endpoint.disabled", false},
		{[]string{"a", "grapnel.endpoint.disabled"}, "grapnel.endpoint.disabled", true},
	} {
		if got := hook.MatchesType(c.patterns, c.name); got != c.want {
			t.Errorf("%q by %q: %v", c.name, c.patterns, got)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"invoice.paid": true, "A-b_c.9": true, "": false, ".": false, "..": false, "a b": false, "a/b": false, "ä": false,
		strings.Repeat("x", 128): true, strings.Repeat("x", 129): false,
	} {
		if err := hook.ValidType(name); (err == nil) != ok {
			t.Errorf("type %q: %v", name, err)
		}
		if err := hook.ValidTenantID(name); (err == nil) != ok {
			t.Errorf("tenant %q: %v", name, err)
		}
	}
	if hook.ValidTenantID("org:7") != nil || hook.ValidType("org:7") == nil {
		t.Error("a colon belongs in tenant ids alone")
	}
}

// case 105: a secret shows itself nowhere by accident.
func TestSecretHidesItself(t *testing.T) {
	t.Parallel()
	s := hook.Secret("canary")
	holder := struct{ S hook.Secret }{s}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "holder", holder)
	asJSON, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	var verbs strings.Builder
	for verb := 'a'; verb <= 'z'; verb++ { // %d and its like too, which fit no string
		if verb == 'p' || verb == 'w' { // fmt asks no type about these; vet refuses them
			continue
		}
		fmt.Fprintf(&verbs, "%"+string(verb)+" %+"+string(verb)+" %#"+string(verb)+" ", s, s, s)
		fmt.Fprintf(&verbs, "%"+string(verb)+" ", holder)
	}
	asText, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{verbs.String(), string(asText), s.String(), s.GoString(), s.LogValue().String(), fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q", s, s, holder, holder, s), string(asJSON), log.String()} {
		if strings.Contains(out, "canary") {
			t.Errorf("seen: %s", out)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("outer: %w", hook.Errorf(hook.CodeNotFound, "no such thing: %w", io.EOF))
	if hook.CodeOf(err) != hook.CodeNotFound || !errors.Is(err, io.EOF) {
		t.Errorf("code %q of %v", hook.CodeOf(err), err)
	}
	if hook.CodeOf(io.EOF) != hook.CodeInternal || hook.CodeOf(nil) != "" {
		t.Error("an unknown error is internal, none has no code")
	}
	if got := hook.Invalid("/a", "want %d", 1).Error(); got != "/a: want 1" {
		t.Error(got)
	}
}

func TestDeliveryStates(t *testing.T) {
	t.Parallel()
	for s := hook.Pending; s <= hook.Cancelled; s++ {
		back, err := hook.ParseDeliveryState(s.String())
		if err != nil || back != s {
			t.Errorf("%s became %s: %v", s, back, err)
		}
		if s.Terminal() != (s == hook.Delivered || s == hook.Failed || s == hook.Cancelled) {
			t.Errorf("%s: terminal %v", s, s.Terminal())
		}
	}
	if _, err := hook.ParseDeliveryState(""); err == nil {
		t.Error("no name is a state")
	}
}

func TestClipCutsNoCharacterInTwo(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"short":                         "short",
		strings.Repeat("a", 64):         strings.Repeat("a", 64),
		strings.Repeat("a", 65):         strings.Repeat("a", 64) + "…",
		strings.Repeat("a", 63) + "éé":  strings.Repeat("a", 63) + "…",
		strings.Repeat("a", 62) + "éée": strings.Repeat("a", 62) + "é…",
	} {
		if got := hook.Clip(given); got != want {
			t.Errorf("Clip(%q) = %q, want %q", given, got, want)
		}
	}
}
