// Package grapnel_test holds what is true of the module as a whole.
package grapnel_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// floors says on which floor each room stands. A room imports only from
// floors below its own; a sub-room stands with its parent, and may import it.
// ARCHITECTURE.md says what each is for.
var floors = map[string]int{
	"internal/hook":     0,
	"internal/disk":     0,
	"internal/fair":     0,
	"internal/spelling": 0,

	"internal/signature":  1,
	"internal/keyring":    1,
	"internal/config":     1,
	"internal/telemetry":  1,
	"internal/why":        1,
	"internal/filter":     1,
	"internal/schema":     1,
	"internal/crashpoint": 1,
	"internal/convert":    1,
	"internal/codec":      1,
	"client":              1,

	"internal/dialect":   2,
	"internal/store":     2,
	"internal/catalogue": 2,
	"internal/egress":    2,

	"verify":            3,
	"internal/ingest":   3,
	"internal/dispatch": 3,
	"internal/manage":   3,
	"internal/auth":     3,
	"internal/live":     3,

	"internal/api":     4,
	"internal/vendors": 4,
	"internal/inbox":   4,

	"internal/serve": 5,

	"cmd/grapnel": 6,
}

// instruments stand beside the house: they drive it, or are driven by its
// tests. Only the program and other instruments may import them.
var instruments = []string{"bench", "docs", "internal/ledger", "internal/hostile", "internal/crash", "internal/child", "internal/pgproxy", "internal/testaid", "internal/store/eithertest", "internal/store/postgres/pgserver", "internal/store/postgres/pgtest", "internal/vendortest", "internal/ssrf", "sim"}

// lists are rooms whose reason is to name their neighbours.
var lists = map[string]string{
	"internal/dialect/all": "internal/dialect",
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// room finds the room that a package belongs to: itself, or the nearest
// folder above that has a floor.
func room(p string) string {
	for ; p != "."; p = path.Dir(p) {
		if _, ok := floors[p]; ok || isInstrument(p) {
			return p
		}
	}
	return ""
}

func isInstrument(p string) bool {
	for _, i := range instruments {
		if p == i {
			return true
		}
	}
	return false
}

func TestPackagesImportFromFloorsBelow(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		from, ours := strings.CutPrefix(p.ImportPath, "grapnel/")
		if !ours {
			continue // the module's root has tests alone
		}
		if room(from) == "" {
			t.Errorf("%s has no floor: give it one here and in ARCHITECTURE.md", from)
		}
		for _, i := range p.Imports {
			if to, ours := strings.CutPrefix(i, "grapnel/"); ours && !allowed(from, to) {
				t.Errorf("%s imports %s, which is not on a floor below", from, to)
			}
		}
	}
}

func allowed(from, to string) bool {
	a, b := room(from), room(to)
	switch {
	case isInstrument(a):
		return true
	case isInstrument(b):
		return a == "cmd/grapnel"
	case a == b:
		// Within a room: a sub-room may import those above it in the tree.
		return strings.HasPrefix(from, to+"/") || lists[from] == a || strings.HasSuffix(from, "test")
	}
	return floors[a] > floors[b]
}

// chosen are the rooms that only internal/serve may name: which store there is
// and which contracts is decided where the parts are put together. verify names
// the contracts too: it has no parts to be put together, and a receiver asks it
// for any of them by name.
var chosen = []string{"internal/store/sqlite", "internal/store/postgres", "internal/dialect/all"}

func TestOnlyServeNamesTheEngineAndTheDialects(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, "grapnel/")
		if room(from) == "internal/serve" || isInstrument(room(from)) {
			continue
		}
		for _, c := range chosen {
			if from == "verify" && c == "internal/dialect/all" {
				continue
			}
			if from != c && !strings.HasPrefix(from, c+"/") && slices.Contains(p.Imports, "grapnel/"+c) {
				t.Errorf("%s imports %s: ask internal/serve for it", from, c)
			}
		}
	}
}

func TestHookUsesTheStandardLibraryAlone(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.ImportPath != "grapnel/internal/hook" {
			continue
		}
		for _, i := range p.Imports {
			if strings.Contains(i, ".") || strings.HasPrefix(i, "grapnel/") {
				t.Errorf("internal/hook imports %s", i)
			}
		}
	}
}

// The public client must be usable by programs outside of this module.
func TestClientImportsNothingInternal(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.ImportPath != "grapnel/client" {
			continue
		}
		for _, i := range p.Imports {
			if strings.HasPrefix(i, "grapnel/") {
				t.Errorf("client imports %s", i)
			}
		}
	}
}

func TestArchitectureNamesEveryRoom(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range floors {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("ARCHITECTURE.md does not name `%s`", name)
		}
	}
	for _, name := range instruments {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("ARCHITECTURE.md does not name `%s`", name)
		}
	}
}
