package sqlite_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/testaid"
)

// mountVariable names the folder on which TestInsideSmallDisk mounts a file system.
const mountVariable = "GRAPNEL_TEST_SMALL_DISK"

// case 17 on a file system that is really small, in a mount namespace of its own.
func TestSmallDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		testaid.Missing(t, "mounting a small file system needs root")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInsideSmallDisk$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), mountVariable+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), notMounted) {
		testaid.Missing(t, "no small file system can be mounted here")
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInsideSmallDisk") {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "figure:") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

const notMounted = "the file system was not mounted"

// TestInsideSmallDisk leaves the store some room, more or less, until nothing is taken
// any more, and gives it room again.
func TestInsideSmallDisk(t *testing.T) {
	dir := os.Getenv(mountVariable)
	if dir == "" {
		t.Skip("TestSmallDisk runs it in a mount namespace of its own")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Fatalf("%s: %v", notMounted, err)
	}
	f := &folder{dir: filepath.Join(dir, "data"), opts: sqlite.Options{SegmentEvents: 40}}
	f.opts.Dir = f.dir
	open := func() {
		st, err := sqlite.Open(t.Context(), f.opts)
		if err != nil {
			t.Fatal(err)
		}
		f.st = st
	}
	open()
	s := newScript(t, f)
	random := rand.New(rand.NewPCG(1, 17))
	full, held := 0, 0
	for round := range 10 {
		ballast := filepath.Join(dir, "ballast")
		fill(t, dir, ballast, random.Int64N(300<<10))
		refused := false
		for range 200 {
			e := s.event()
			e.Data = []byte(`{"some":"` + strings.Repeat("x", random.IntN(6000)) + `"}`)
			err := f.st.Append(t.Context(), &store.Batch{Revision: 99, Events: []*hook.Event{e}})
			if err == nil {
				s.acked = append(s.acked, e)
				if random.IntN(4) == 0 { // outcomes take room as well, and wait while there is none
					k := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
					o := &store.Outcome{Key: k, At: e.Time, State: hook.Delivered, Attempt: &hook.Attempt{Key: k, N: 1, At: e.Time, State: hook.Delivered}}
					if f.st.Record(t.Context(), s.lease, []*store.Outcome{o}) == nil {
						s.states[k] = hook.Delivered
					} else {
						held++
					}
				}
				continue
			}
			if !errors.Is(err, store.ErrFull) {
				t.Fatalf("round %d: it is full, and the error is %v", round, err)
			}
			if !errors.Is(err, store.ErrUnknown) {
				s.refused = append(s.refused, e)
			}
			refused = true
			break
		}
		if !refused {
			t.Fatalf("round %d: nothing was refused", round)
		}
		full++
		for _, e := range s.acked[max(0, len(s.acked)-5):] { // reading needs no room
			if _, err := f.st.Event(t.Context(), hook.AllTenants, e.ID); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if round%5 == 4 { // a server that is started while it is full may fail, and harms nothing
			f.st.Close()
			if st, err := sqlite.Open(context.Background(), f.opts); err == nil {
				st.Close()
			}
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if round%5 == 4 {
			open()
			s.acquire()
		}
		s.append()
		s.check("after the disk had room again")
	}
	if err := f.st.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := sqlite.Check(t.Context(), f.dir, nil)
	if err != nil || len(report.Findings) > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	open()
	defer f.st.Close()
	s.check("after a start")
	t.Logf("figure: full %d times; %d events acknowledged, %d refused, %d outcomes held up", full, len(s.acked), len(s.refused), held)
}

// fill leaves a number of bytes free, or none if the store has taken some meanwhile.
func fill(t *testing.T, dir, ballast string, room int64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast, make([]byte, max(0, int64(fs.Bavail)*fs.Bsize-room)), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
