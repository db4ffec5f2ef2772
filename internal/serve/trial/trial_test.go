package trial_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"grapnel/internal/config"
	"grapnel/internal/serve/trial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a trial in the background.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
	events chan trial.Event
	seen   []trial.Event
}

func run(t *testing.T, change func(*trial.Config)) *running {
	t.Helper()
	cfg := trial.Config{Settings: config.Dev(), Logger: slog.New(slog.DiscardHandler), Now: time.Now}
	cfg.Settings.Listen, cfg.Settings.Data = "127.0.0.1:0", t.TempDir()
	change(&cfg)
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, cancel: cancel, done: make(chan error, 1), events: make(chan trial.Event, 1000)}
	cfg.Emit = func(e trial.Event) { r.events <- e }
	go func() { r.done <- trial.Run(ctx, cfg) }()
	t.Cleanup(cancel)
	return r
}

// until returns the first event that ok likes, of those that came already or
// of those to come.
func (r *running) until(what string, ok func(trial.Event) bool) trial.Event {
	r.t.Helper()
	if i := slices.IndexFunc(r.seen, ok); i >= 0 {
		return r.seen[i]
	}
	late := time.After(30 * time.Second)
	for {
		select {
		case e := <-r.events:
			r.seen = append(r.seen, e)
			if ok(e) {
				return e
			}
		case err := <-r.done:
			r.t.Fatalf("ended before %s: %v", what, err)
		case <-late:
			r.t.Fatalf("no %s in %+v", what, r.seen)
		}
	}
}

func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
}

func kind(k string) func(trial.Event) bool { return func(e trial.Event) bool { return e.Event == k } }

func TestFirstDelivery(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	r := run(t, func(c *trial.Config) { c.Ephemeral = true })
	ready := r.until("ready", kind(trial.Ready))
	if !strings.HasPrefix(ready.API, "http://127.0.0.1:") || ready.Key == "" || filepath.Dir(ready.Data) != tmp || len(ready.Receivers) != 3 {
		t.Errorf("%+v", ready)
	}
	first := r.until("first delivery", kind(trial.FirstDelivery))
	samples := []string{"user.created", "invoice.paid", "report.ready"} // any may be there first
	if first.Status != "delivered" || !first.Verified || first.Endpoint != "ok" || !slices.Contains(samples, first.Type) {
		t.Errorf("%+v", first)
	}
	flaky := r.until("a failure", func(e trial.Event) bool { return e.Endpoint == "flaky" })
	if flaky.HTTPStatus != 500 || flaky.State != "pending" || flaky.NextAt == nil || !flaky.Verified {
		t.Errorf("%+v", flaky)
	}
	if info, err := os.Stat(filepath.Join(ready.Data, "trial.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	r.stop()
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", err, left)
	}
}

func TestSecondTrialInTheSameFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := func(c *trial.Config) { c.Settings.Data = dir }
	a := run(t, keep)
	first := a.until("ready", kind(trial.Ready))
	a.until("first delivery", kind(trial.FirstDelivery))
	a.stop()
	b := run(t, keep)
	second := b.until("ready", kind(trial.Ready))
	if second.Key != first.Key {
		t.Error("the key changed")
	}
	b.until("first delivery", kind(trial.FirstDelivery))
	var list struct{ Data []struct{ ID string } }
	b.get(second.API+"/tenants/demo/endpoints", second.Key, &list)
	if len(list.Data) != 3 {
		t.Errorf("%d endpoints", len(list.Data))
	}
	b.stop()
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	r := run(t, func(c *trial.Config) { c.Empty = true; c.Settings.AdminKey = "gk_dev_chosen_by_the_test" })
	ready := r.until("ready", kind(trial.Ready))
	if ready.Key != "gk_dev_chosen_by_the_test" {
		t.Error(ready.Key)
	}
	var list struct{ Data []struct{ ID string } }
	r.get(ready.API+"/tenants", ready.Key, &list)
	r.stop()
	for e := range events(r.events) {
		t.Errorf("%+v", e)
	}
}

func events(c chan trial.Event) func(func(trial.Event) bool) {
	return func(yield func(trial.Event) bool) {
		for len(c) > 0 {
			if !yield(<-c) {
				return
			}
		}
	}
}

// A port that is taken is passed over if nobody asked for it.
func TestAnyPort(t *testing.T) {
	t.Parallel()
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	addr := strings.TrimPrefix(taken.URL, "http://")
	r := run(t, func(c *trial.Config) { c.Settings.Listen, c.AnyPort, c.Empty = addr, true, true })
	if e := r.until("ready", kind(trial.Ready)); e.URL == taken.URL {
		t.Error(e.URL)
	}
	r.stop()

	cfg := trial.Config{Settings: config.Dev(), Logger: slog.New(slog.DiscardHandler), Now: time.Now, Emit: func(trial.Event) {}}
	cfg.Settings.Listen, cfg.Settings.Data = addr, t.TempDir()
	if err := trial.Run(t.Context(), cfg); err == nil {
		t.Error("a taken port that was asked for")
	}
}

func TestBrokenState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "trial.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := trial.Config{Settings: config.Dev(), Logger: slog.New(slog.DiscardHandler), Now: time.Now, Emit: func(trial.Event) {}}
	cfg.Settings.Data = dir
	if err := trial.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "trial.json") {
		t.Error(err)
	}
}

func (r *running) get(url, key string, out any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), "GET", url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := (&http.Transport{}).RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil || res.StatusCode != 200 {
		r.t.Fatal(res.Status, err)
	}
}
