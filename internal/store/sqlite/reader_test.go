package sqlite

import (
	"encoding/base64"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/testaid"
)

// case 20: while something reads for long the log of the active segment cannot be
// written back: it grows, the server's log says why, and events are taken on. Once it
// is over the log begins anew.
func TestLongReaderIsTold(t *testing.T) {
	t.Parallel()
	log := &testaid.Buffer{}
	st, err := Open(t.Context(), Options{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now, seq := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), int64(0)
	noise := make([]byte, 600<<10) // does not compress
	rand.NewChaCha8([32]byte{20}).Read(noise)
	data := []byte(`"` + base64.StdEncoding.EncodeToString(noise) + `"`)
	add := func(events int) {
		t.Helper()
		for range events {
			now = now.Add(time.Millisecond)
			e := &hook.Event{ID: hook.NextEventID(seq, now, 1), Tenant: 1, Type: "a", Data: data, Targets: []hook.Target{{Endpoint: 1}}}
			seq = e.ID.Seq()
			if err := st.Append(t.Context(), &store.Batch{Revision: 1 << 40, Events: []*hook.Event{e}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(1)
	g := st.find(seq)
	length := func() int64 {
		info, err := os.Stat(g.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	reader, err := st.open(g.path, role{cache: readerCache, checkpoint: neverCheckpoint})
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.exec(`BEGIN`); err != nil {
		t.Fatal(err)
	}
	if err := reader.query(`SELECT count(*) FROM events`, nil, func(*sqlite3.Stmt) bool { return true }); err != nil {
		t.Fatal(err)
	}
	const told = "something reads it for long"
	for n := 0; !strings.Contains(log.String(), told); n++ {
		if add(1); n == 1000 {
			t.Fatal("nobody was told")
		}
	}
	if err := reader.exec(`COMMIT`); err != nil {
		t.Fatal(err)
	}
	reader.close()
	for n := 0; ; n++ {
		before := length()
		add(20)
		if length() == before { // 12 MB have gone to its beginning
			return
		}
		if n == 50 {
			t.Fatalf("the log grows on, to %d bytes, though nobody reads", length())
		}
	}
}
