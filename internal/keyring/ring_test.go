package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/keyring"
)

const canary hook.Secret = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5IQ=="

func open(t *testing.T, s keyring.Source) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFileIsMadeOnceAndReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyring")
	first := open(t, keyring.Source{File: path})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	sealed, err := first.Seal(canary, "acme", "ep_1")
	if err != nil {
		t.Fatal(err)
	}
	second := open(t, keyring.Source{File: path, MustExist: true})
	if diff := cmp.Diff(first.KeyIDs(), second.KeyIDs()); diff != "" {
		t.Error(diff)
	}
	got, err := second.Open(sealed, "acme", "ep_1")
	if err != nil || got != canary {
		t.Errorf("opened %q, %v", string(got), err)
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".keyring-*"))
	if len(left) != 0 {
		t.Errorf("temporary files stay: %v", left)
	}
}

func TestConcurrentFirstStartsAgree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyring")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if r, err := keyring.Open(keyring.Source{File: path}); err == nil {
				ids[i] = r.KeyIDs()[0]
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("starts disagree: %q", ids)
		}
	}
}

// case 104
func TestSealedIsBoundToItsPlace(t *testing.T) {
	t.Parallel()
	r := open(t, keyring.Source{Env: keyring.NewKey()})
	sealed, err := r.Seal(canary, "acme", "ep_1")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), string(canary)) {
		t.Fatal("the sealed form holds the clear text")
	}
	again, _ := r.Seal(canary, "acme", "ep_1")
	if again == sealed {
		t.Error("equal secrets look equal when sealed")
	}
	flipped := []byte(sealed)
	flipped[len(flipped)-5] ^= 1
	for _, c := range []struct {
		name           string
		sealed         hook.Sealed
		tenant, record string
	}{
		{"another tenant", sealed, "other", "ep_1"},
		{"another record", sealed, "acme", "ep_2"},
		{"shifted border", sealed, "acmee", "p_1"},
		{"changed text", hook.Sealed(flipped), "acme", "ep_1"},
		{"no base64", sealed + "!", "acme", "ep_1"},
		{"cut", sealed[:len(sealed)-8], "acme", "ep_1"},
		{"tag only", sealed[:12], "acme", "ep_1"},
		{"empty", "", "acme", "ep_1"},
		{"clear text", hook.Sealed(canary), "acme", "ep_1"},
		{"unknown form", "k2" + sealed[2:], "acme", "ep_1"},
	} {
		got, err := r.Open(c.sealed, c.tenant, c.record)
		if err == nil || got != "" {
			t.Errorf("%s: opened", c.name)
			continue
		}
		if strings.Contains(err.Error(), string(canary)) {
			t.Errorf("%s: the error shows the secret: %v", c.name, err)
		}
	}
}

func TestFirstKeySealsAllOpen(t *testing.T) {
	t.Parallel()
	oldKey, newKey := keyring.NewKey(), keyring.NewKey()
	before := open(t, keyring.Source{Env: oldKey})
	both := open(t, keyring.Source{Env: newKey + "," + oldKey})
	after := open(t, keyring.Source{Env: newKey})

	sealedOld, _ := before.Seal(canary, "acme", "ep_1")
	sealedNew, _ := both.Seal(canary, "acme", "ep_1")
	for _, s := range []hook.Sealed{sealedOld, sealedNew} {
		if got, err := both.Open(s, "acme", "ep_1"); err != nil || got != canary {
			t.Errorf("both keys: %v", err)
		}
	}
	if _, err := after.Open(sealedNew, "acme", "ep_1"); err != nil {
		t.Errorf("the first key seals: %v", err)
	}
	_, err := after.Open(sealedOld, "acme", "ep_1")
	if err == nil || !strings.Contains(err.Error(), before.KeyIDs()[0]) {
		t.Errorf("a missing key is named: %v", err)
	}
}

// A ring that lacks a key is known by the sealed secrets, before any is opened.
func TestCoversNamesMissingKeys(t *testing.T) {
	t.Parallel()
	old, now := keyring.NewKey(), keyring.NewKey()
	before, after := open(t, keyring.Source{Env: old}), open(t, keyring.Source{Env: now})
	both := open(t, keyring.Source{Env: now + "," + old})
	sealedOld, _ := before.Seal(canary, "acme", "ep_1")
	sealedNew, _ := after.Seal(canary, "acme", "ep_1")
	if id := keyring.KeyIDOf(sealedOld); id != before.KeyIDs()[0] {
		t.Errorf("sealed with %q", id)
	}
	all := slices.Values([]hook.Sealed{sealedNew, sealedOld, sealedOld, "k2.of.later", ""})
	if err := both.Covers(all); err != nil {
		t.Error(err)
	}
	err := after.Covers(all)
	if !errors.Is(err, keyring.ErrOtherKey) || strings.Count(err.Error(), before.KeyIDs()[0]) != 1 || !strings.Contains(err.Error(), "has only "+after.KeyIDs()[0]) {
		t.Errorf("%v", err)
	}
}

func TestDerivedKeysDifferByPurposeAndLast(t *testing.T) {
	t.Parallel()
	env := keyring.NewKey()
	a, _ := open(t, keyring.Source{Env: env}).Derive("cursors")
	b, _ := open(t, keyring.Source{Env: env}).Derive("cursors")
	c, _ := open(t, keyring.Source{Env: env}).Derive("sessions")
	if len(a) != keyring.KeySize || !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Error("derived keys: want equal ones for equal purposes alone")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := keyring.NewKey()
	for _, c := range []struct {
		name   string
		source keyring.Source
		says   string
	}{
		{"nothing given", keyring.Source{}, "neither"},
		{"readable by others", keyring.Source{File: write("wide", key, 0o644)}, "chmod 600"},
		{"readable by the group", keyring.Source{File: write("group", key, 0o640)}, "chmod 600"},
		{"short key", keyring.Source{File: write("short", key[:20], 0o600)}, "line 1"},
		{"no base64", keyring.Source{Env: "hunter2-hunter2-hunter2-hunter2"}, "44 characters"},
		{"same key twice", keyring.Source{File: write("twice", "# note\n"+key+"\n"+key, 0o600)}, "line 3"},
		{"only comments", keyring.Source{File: write("none", "# "+key, 0o600)}, "holds no key"},
		{"a folder", keyring.Source{File: dir}, "not a regular file"},
		{"no such folder", keyring.Source{File: filepath.Join(dir, "a", "b")}, "no such file"},
		{"missing but needed", keyring.Source{File: filepath.Join(dir, "gone"), MustExist: true}, "put it back"},
		{"huge", keyring.Source{File: write("huge", strings.Repeat("#", 1<<17), 0o600)}, "too large"},
	} {
		_, err := keyring.Open(c.source)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", c.name, err, c.says)
			continue
		}
		for _, secret := range []string{key, key[:20], "hunter2"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error shows the key", c.name)
			}
		}
	}
	_, err := keyring.Open(keyring.Source{File: filepath.Join(dir, "gone"), MustExist: true})
	if !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("%v is not ErrNoKey", err)
	}
}

// case 105
func TestNothingPrintsAKey(t *testing.T) {
	t.Parallel()
	env := keyring.NewKey()
	r := open(t, keyring.Source{Env: env})
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("ring", "ring", r)
	fmt.Fprintf(&out, "%v %+v %#v %s %q", r, r, r, r, r)
	if strings.Contains(out.String(), env) || strings.Contains(out.String(), "raw") {
		t.Errorf("shows the key: %s", out.String())
	}
	if !strings.Contains(out.String(), r.KeyIDs()[0]) {
		t.Error("does not show the key's id")
	}
}

func FuzzOpenSealed(f *testing.F) {
	r, err := keyring.Open(keyring.Source{Env: keyring.NewKey()})
	if err != nil {
		f.Fatal(err)
	}
	good, _ := r.Seal(canary, "acme", "ep_1")
	for _, s := range []string{string(good), "", "k1", "k1.", "k1..", "k1." + r.KeyIDs()[0] + ".", "k1." + r.KeyIDs()[0] + ".AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := r.Open(hook.Sealed(s), "acme", "ep_1")
		if err == nil && (got != canary || s != string(good)) {
			t.Errorf("%q opened", s)
		}
	})
}

// case 104: what an older key sealed is sealed anew for its own place, and for no
// other; what the first key sealed stays as it is.
func TestReseal(t *testing.T) {
	t.Parallel()
	old, now := keyring.NewKey(), keyring.NewKey()
	before, both, after := open(t, keyring.Source{Env: old}), open(t, keyring.Source{Env: now + "," + old}), open(t, keyring.Source{Env: now})
	sealed, _ := before.Seal(canary, "acme", "ep_1")
	for _, c := range []struct{ tenant, record string }{{"other", "ep_1"}, {"acme", "ep_2"}} {
		if got, err := both.Reseal(sealed, c.tenant, c.record); err == nil {
			t.Errorf("resealed for %v: %s", c, got)
		}
	}
	anew, err := both.Reseal(sealed, "acme", "ep_1")
	if err != nil || !both.SealedFirst(anew) || both.SealedFirst(sealed) {
		t.Fatalf("%s, %v", anew, err)
	}
	if got, err := after.Open(anew, "acme", "ep_1"); got != canary || err != nil {
		t.Errorf("with the new key alone: %v", err)
	}
	if again, err := both.Reseal(anew, "acme", "ep_1"); again != anew || err != nil {
		t.Errorf("sealed once more: %v", err)
	}
	if _, err := after.Reseal(sealed, "acme", "ep_1"); err == nil {
		t.Error("resealed without the key that sealed it")
	}
}

// case 104: headers too, also those of a folder from before they were sealed.
func TestResealHeaders(t *testing.T) {
	t.Parallel()
	old, now := keyring.NewKey(), keyring.NewKey()
	before, both, after := open(t, keyring.Source{Env: old}), open(t, keyring.Source{Env: now + "," + old}), open(t, keyring.Source{Env: now})
	plain := []hook.Header{{Name: "Authorization", Value: "Bearer 1"}, {Name: "X-Team", Value: "a"}, {Name: "X-Token", Value: "2"}}
	sealed, err := before.SealHeaders(plain[:2], "acme", "ep_1")
	if err != nil {
		t.Fatal(err)
	}
	for what, given := range map[string][]hook.Header{"sealed with the old key": append(sealed, plain[2]), "never sealed": plain} {
		anew, err := both.ResealHeaders(given, "acme", "ep_1")
		if err != nil || anew[0].Value != "" || anew[2].Value != "" || !both.SealedFirst(anew[0].Sealed) {
			t.Fatalf("%s: %v, %v", what, anew, err)
		}
		opened, err := after.OpenHeaders(anew, "acme", "ep_1")
		if err != nil || !slices.Equal(opened, plain) {
			t.Errorf("%s, with the new key alone: %v, %v", what, opened, err)
		}
	}
	if _, err := both.ResealHeaders(sealed, "other", "ep_1"); err == nil {
		t.Error("resealed for another tenant")
	}
}

// What other servers derive from a key behind the first one is known as well.
func TestDeriveAll(t *testing.T) {
	t.Parallel()
	old, now := keyring.NewKey(), keyring.NewKey()
	both := open(t, keyring.Source{Env: now + "," + old})
	all, err := both.DeriveAll("cursors")
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for i, env := range []string{now, old} {
		if alone, err := open(t, keyring.Source{Env: env}).Derive("cursors"); err != nil || !bytes.Equal(alone, all[i]) {
			t.Errorf("key %d derives another one: %v", i, err)
		}
	}
}
