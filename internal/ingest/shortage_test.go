package ingest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/ingest"
	"grapnel/internal/store"
)

// cases 17 and 113: however many publishes a full disk refuses, the log has a line
// when that begins, one a minute, and one when it is over.
func TestShortageIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var full atomic.Bool
		b := setup(t, func(c *ingest.Config) {
			c.Logger = slog.New(slog.NewJSONHandler(&log, nil))
			c.Room = func() error {
				if full.Load() {
					return fmt.Errorf("10 bytes are free: %w", store.ErrFull)
				}
				return nil
			}
		})
		publish := func(n int, every time.Duration) {
			for range n {
				_, _, _ = b.Publish(t.Context(), submission("", item("acme", "", "a", `1`)))
				time.Sleep(every)
			}
		}
		publish(10, time.Second)
		full.Store(true)
		publish(1510, 100*time.Millisecond)
		full.Store(false)
		publish(1, 5*time.Second) // it may be full again at once
		publish(10, 5*time.Second)
		full.Store(true)
		publish(3, time.Second)
		b.Close()
		type line struct {
			Msg   string
			Level string
			N     int `json:"refused_events"`
			Error string
		}
		var got []line
		for d := json.NewDecoder(&log); d.More(); {
			var l line
			if err := d.Decode(&l); err != nil {
				t.Fatal(err)
			}
			got = append(got, l)
		}
		const why = "10 bytes are free: storage full"
		begins := line{"the storage is full: no events are taken", "ERROR", 0, why}
		lasts := "the storage is still full: no events are taken"
		want := []line{
			begins, {lasts, "ERROR", 601, why}, {lasts, "ERROR", 1201, why},
			{"the storage has room again: events are taken", "INFO", 1510, ""}, begins,
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}
