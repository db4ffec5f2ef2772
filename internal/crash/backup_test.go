package crash_test

import (
	"flag"
	"testing"
	"time"

	"grapnel/internal/crash"
	"grapnel/internal/crashpoint"
)

var backups = flag.Int("backups", 1, "rounds of TestBackup, each with the next seed")

// case 15: a backup that is taken under load, while segments are sealed, is
// restored into another folder after the server was killed. Nothing that was
// acknowledged before it was begun is lost, and nothing that was recorded as
// delivered before is sent again.
func TestBackup(t *testing.T) {
	for n := range *backups {
		r, err := crash.Backup(t.Context(), crash.Options{
			Command: grapnel(program(t, true)), Env: []string{crashpoint.Settings + "=segment-events=150"}, Dir: t.TempDir(),
			Seed: *seed + uint64(n), MinLoad: 700 * time.Millisecond, MaxLoad: 1200 * time.Millisecond, Settle: 30 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(r)
		for i, f := range r.Findings {
			if i == 20 {
				break
			}
			t.Error(f)
		}
		if r.Lost > 0 || r.Resent > 0 {
			t.Errorf("%d lost, %d sent again", r.Lost, r.Resent)
		}
		if r.Before == 0 || r.Recorded == 0 || r.Restored == 0 {
			t.Errorf("nothing was put to the test: %s", r)
		}
	}
}
