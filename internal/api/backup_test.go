package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/live"
	"grapnel/internal/store"
	"grapnel/internal/store/eithertest"
	"grapnel/internal/store/sqlite"
)

// A backup over HTTP is whole, names the last event, and has the key unless it
// is not wanted.
func TestBackup(t *testing.T) {
	t.Parallel()
	eithertest.OnlySQLite(t, "a database is backed up by its own means")
	key := filepath.Join(t.TempDir(), "secret.key")
	must(t, os.WriteFile(key, []byte("# a key"), 0o600))
	b := setup(t, func(c *api.Config) { c.KeyFile, c.Program = key, "v1" })
	event := b.publish("acme", `{"type":"a","data":1}`)
	for path, withKey := range map[string]bool{"/v1/backup": true, "/v1/backup?without_key=false": true, "/v1/backup?without_key=true": false} {
		a := b.want(http.StatusOK, "POST", path, "")
		m, err := sqlite.Verify(t.Context(), strings.NewReader(a.body), nil)
		must(t, err)
		if m.Mark != event || m.WithKey != withKey || m.Program != "v1" || strings.Contains(a.body, "# a key") != withKey {
			t.Errorf("%s: %+v", path, m)
		}
		if a.header.Get("Content-Type") != "application/x-tar" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	b.want(http.StatusBadRequest, "POST", "/v1/backup?without_key=perhaps", "")
}

// A database has backups of its own.
func TestBackupOfADatabase(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.Backup = nil })
	if a := b.want(http.StatusNotFound, "POST", "/v1/backup", ""); !strings.Contains(a.body, "pg_dump") {
		t.Error(a.body)
	}
}

func TestGetStore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if a := b.want(http.StatusOK, "GET", "/v1/store", "").json(); a["events"] != 0.0 || a["writable"] != true || a["last_event"] != nil || a["oldest"] != nil {
		t.Errorf("empty: %v", a)
	}
	event := b.publish("acme", `{"type":"a","data":1}`)
	a := b.want(http.StatusOK, "GET", "/v1/store", "").json()
	engine := "sqlite 3."
	if eithertest.Postgres() {
		engine = "postgresql "
	}
	if a["events"] != 1.0 || a["last_event"] != event || a["oldest"] == nil || a["units"].(float64) < 1 || !strings.HasPrefix(a["engine"].(string), engine) {
		t.Errorf("%v", a)
	}
}

// half is a store whose backups end in the middle, or before they begin.
type half struct {
	mu    sync.Mutex
	begun bool
	err   error // nil: when the context ends
}

func (h *half) begins() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun = true
}

func (h *half) ends(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *half) Backup(ctx context.Context, w io.Writer, _ store.BackupQuery) (store.BackupInfo, error) {
	h.mu.Lock()
	begun, end := h.begun, h.err
	h.mu.Unlock()
	if begun {
		if _, err := w.Write([]byte("half")); err != nil {
			return store.BackupInfo{}, err
		}
	}
	if end == nil {
		<-ctx.Done()
		return store.BackupInfo{}, ctx.Err()
	}
	return store.BackupInfo{}, end
}

// What fails before it began is a problem; later the reader sees an end that is
// none. The server's stop ends a backup that nobody reads.
func TestBackupThatFails(t *testing.T) {
	t.Parallel()
	h := &half{}
	h.ends(store.ErrBackupRunning)
	hub := live.New(live.Config{})
	b := setup(t, func(c *api.Config) { c.Backup, c.Live = h, hub })
	if a := b.want(http.StatusConflict, "POST", "/v1/backup", ""); !strings.Contains(a.body, "one at a time") {
		t.Error(a.body)
	}
	h.ends(store.ErrFull)
	b.want(http.StatusServiceUnavailable, "POST", "/v1/backup", "")
	server := httptest.NewServer(b.api)
	defer server.Close()
	take := func() error {
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/v1/backup", http.NoBody)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+adminKey)
		res, err := server.Client().Do(r)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable { // it ended before it began
			return store.ErrUnavailable
		}
		got, err := io.ReadAll(res.Body)
		if !bytes.HasPrefix([]byte("half"), got) {
			t.Errorf("read %q", got)
		}
		return err
	}
	h.begins()
	h.ends(errors.New("disk gone"))
	if err := take(); err == nil {
		t.Error("an end in the middle looks like one")
	}
	h.ends(nil)
	hub.Close()
	if err := take(); err == nil {
		t.Error("it goes on though the server has stopped")
	}
}

// drops is a backup in small pieces without an end.
type drops struct{ failed chan error }

func (d drops) Backup(ctx context.Context, w io.Writer, _ store.BackupQuery) (store.BackupInfo, error) {
	for range 10_000 {
		if _, err := w.Write([]byte("drop")); err != nil {
			d.failed <- err
			return store.BackupInfo{}, err
		}
	}
	d.failed <- nil
	return store.BackupInfo{}, nil
}

// A reader that takes a little now and then does not keep a backup open for
// ever.
func TestBackupThatIsReadSlowly(t *testing.T) {
	t.Parallel()
	d := drops{make(chan error, 1)}
	var seconds atomic.Int64 // each look at the clock takes one
	begun := time.Now()
	b := setup(t, func(c *api.Config) {
		c.Backup, c.Now = d, func() time.Time { return begun.Add(time.Duration(seconds.Add(1)) * time.Second) }
	})
	server := httptest.NewServer(b.api)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/v1/backup", http.NoBody)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+adminKey)
	res, err := server.Client().Do(r)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if failure := <-d.failed; err == nil || failure == nil || !strings.Contains(failure.Error(), "bytes a second") {
		t.Errorf("read: %v, written: %v", err, failure)
	}
}
