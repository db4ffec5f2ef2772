package offline_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"grapnel/internal/serve/offline"
	"grapnel/internal/store/sqlite"
)

// filesOf takes a backup apart.
func filesOf(t testing.TB, archive []byte) (files map[string][]byte, m *offline.Backup) {
	t.Helper()
	files, m = map[string][]byte{}, new(offline.Backup)
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files, m
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if h.Name == "MANIFEST.json" {
			if err := json.Unmarshal(files[h.Name], m); err != nil {
				t.Fatal(err)
			}
			delete(files, h.Name)
		}
	}
}

// packed makes a backup whose manifest is right, whatever the files hold.
func packed(t testing.TB, files map[string][]byte, m offline.Backup) []byte {
	t.Helper()
	m.Files = nil
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(name string, content []byte) bool {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o600}); err != nil {
			return false // no tar file can hold the name
		}
		_, err := w.Write(content)
		return err == nil // else it has the name of a folder
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if add(name, files[name]) {
			sum := sha256.Sum256(files[name])
			m.Files = append(m.Files, sqlite.ManifestFile{Name: name, Size: int64(len(files[name])), SHA256: hex.EncodeToString(sum[:])})
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	add("MANIFEST.json", text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// case 114: whatever is given for a backup is refused without a trace, or is a data
// folder that is whole. Nothing is written outside of it, and no more than came. A
// hostile one may have a manifest that is right: how 0 means the bytes as they are, and
// else one file of a real backup is changed, taken away or added.
func FuzzRestore(f *testing.F) {
	folder := opened(f, made(f))
	var real bytes.Buffer
	if err := folder.Backup(f.Context(), &real, offline.BackupOptions{At: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), WithKey: true}); err != nil {
		f.Fatal(err)
	}
	files, m := filesOf(f, real.Bytes())
	f.Add(uint8(0), "", uint32(0), real.Bytes()[:2048])
	f.Add(uint8(0), "", uint32(0), []byte("no tar file"))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for how := range uint8(4) {
			f.Add(how+1, name, uint32(20), []byte("\xff\x00\xff"))
		}
	}
	for _, name := range []string{"../escaped", "/tmp/escaped", "segments/../../escaped", "segments/00000000000000000001.db", "control.db-wal", "control.db-journal", "dialects/x.yaml", "dialects/../control.db", "segments", "", "MANIFEST.json"} {
		f.Add(uint8(4), name, uint32(0), []byte("x"))
	}
	f.Fuzz(func(t *testing.T, how uint8, name string, at uint32, content []byte) {
		archive := content
		if how %= 5; how > 0 {
			changed := maps.Clone(files)
			old := bytes.Clone(files[name])
			switch how {
			case 1: // some bytes are others
				if i := int(at) % (len(old) + 1); i < len(old) {
					copy(old[i:], content)
				}
				changed[name] = old
			case 2: // it ends early
				changed[name] = old[:int(at)%(len(old)+1)]
			case 3:
				delete(changed, name)
			case 4:
				changed[name] = content
			}
			archive = packed(t, changed, *m)
		}
		if len(archive) > 8<<20 {
			return
		}
		parent := t.TempDir()
		dir := filepath.Join(parent, "restored")
		_, verified := offline.Verify(t.Context(), bytes.NewReader(archive))
		_, err := offline.Restore(t.Context(), bytes.NewReader(archive), dir, nil)
		if err == nil && verified != nil {
			t.Errorf("what is not verified is restored: %v", verified)
		}
		entries, names := written(t, parent)
		if !slices.Equal(entries, []string{"restored"}) {
			t.Errorf("beside the folder there is %q", entries)
		}
		switch {
		case err != nil && len(names) > 0:
			t.Errorf("%v, and there is %q", err, names)
		case err == nil:
			report, err := offline.Check(t.Context(), dir, nil)
			if err != nil || len(report.Findings) > 0 {
				t.Errorf("restored, and then: %v, %+v", err, report)
			}
		}
	})
}

// written are a folder's entries, and all files below them.
func written(t *testing.T, parent string) (entries, names []string) {
	t.Helper()
	list, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		entries = append(entries, e.Name())
	}
	err = filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries, names
}
