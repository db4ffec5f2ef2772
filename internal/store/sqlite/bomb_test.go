package sqlite_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/internal/store/sqlite"
)

// sparse is a tar file of some kilobytes with one file that claims a size, of
// which nothing is there: GNU.sparse 1.0, whose map lies before the data.
func sparse(t *testing.T, name string, size int64) []byte {
	t.Helper()
	var pax string
	for _, record := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=" + name, fmt.Sprintf("GNU.sparse.realsize=%d", size)} {
		n := len(record) + 3
		for n != len(fmt.Sprintf("%d %s\n", n, record)) {
			n++
		}
		pax += fmt.Sprintf("%d %s\n", n, record)
	}
	data := make([]byte, 512)
	copy(data, fmt.Sprintf("1\n%d\n0\n", size))
	var out bytes.Buffer
	out.Write(block('x', "PaxHeaders.0/f", len(pax)))
	out.Write(append([]byte(pax), make([]byte, 512-len(pax)%512)...))
	out.Write(block('0', "GNUSparseFile.0/f", len(data)))
	out.Write(data)
	out.Write(make([]byte, 1024))
	return out.Bytes()
}

// block is a header of the ustar form.
func block(kind byte, name string, size int) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000600\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00%011o\x00        ", size, 0))
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// case 114: a small input makes no large file, whatever it says of itself.
func TestBombsAreRefused(t *testing.T) {
	t.Parallel()
	const huge = 8 << 30
	bombs := map[string][]byte{"sparse control.db": sparse(t, "control.db", huge), "sparse manifest": sparse(t, "MANIFEST.json", 1<<20)}
	h, err := tar.NewReader(bytes.NewReader(bombs["sparse control.db"])).Next()
	if err != nil || h.Name != "control.db" || h.Size != huge {
		t.Fatalf("the bomb is none: %+v, %v", h, err)
	}
	for what, header := range map[string]*tar.Header{
		"a link":   {Typeflag: tar.TypeSymlink, Name: "control.db", Linkname: "/dev/zero"},
		"a device": {Typeflag: tar.TypeChar, Name: "control.db", Devmajor: 1, Devminor: 5},
		"a folder": {Typeflag: tar.TypeDir, Name: "control.db"},
	} {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		bombs[what] = out.Bytes()
	}
	for what, bomb := range bombs {
		dir := filepath.Join(t.TempDir(), "data")
		var written int64
		progress := func(n int64) { written = n }
		refuse := func(how string, err error) {
			if err == nil || !strings.Contains(err.Error(), "no backup of Grapnel") {
				t.Errorf("%s, %s: %v", what, how, err)
			}
			if written > int64(len(bomb)) {
				t.Errorf("%s, %s: %d bytes were made of %d", what, how, written, len(bomb))
			}
		}
		_, err := sqlite.Verify(context.Background(), bytes.NewReader(bomb), progress)
		refuse("verified", err)
		_, err = sqlite.Restore(t.Context(), bytes.NewReader(bomb), sqlite.RestoreOptions{Dir: dir, Progress: progress})
		refuse("restored", err)
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v is left", what, err, left)
		}
	}
}
