//go:build crashpoint

package crashpoint

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const helper = "GRAPNEL_CRASHPOINT_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helper) == "" {
		os.Exit(m.Run())
	}
	for range 3 {
		Hit("after-send")
		os.Stdout.WriteString("x")
	}
}

func TestHitKillsAtTheCount(t *testing.T) {
	for _, c := range []struct{ env, out, end string }{
		{"", "xxx", "exit status 0"},
		{"after-send", "", "signal: killed"},
		{"after-send:3", "xx", "signal: killed"},
		{"after-send:4", "xxx", "exit status 0"},
		{"after-response:1", "xxx", "exit status 0"},
		{"no-such-point:1", "", "exit status 2"},
		{"after-send:0", "", "exit status 2"},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), helper+"=1", Environment+"="+c.env)
		out, _ := cmd.Output()
		if got := cmd.ProcessState.String(); string(out) != c.out || !strings.HasPrefix(got, c.end) {
			t.Errorf("%s=%q: wrote %q and ended with %q, want %q and %q", Environment, c.env, out, got, c.out, c.end)
		}
	}
}

func TestSet(t *testing.T) {
	t.Setenv(Settings, "a=12,wait=250ms")
	if a, wait, b := Set("a", 1), Set("wait", time.Hour), Set("b", 3); a != 12 || wait != 250*time.Millisecond || b != 3 {
		t.Errorf("got %d, %s and %d", a, wait, b)
	}
}
