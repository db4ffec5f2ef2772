//go:build crashpoint

package crashpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Enabled reports whether this build can be armed.
const Enabled = true

// Hit marks the point called name and ends the process there if the
// environment says so.
func Hit(name string) {
	a := armed()
	if a.name != name || a.left.Add(-1) != 0 {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill() // SIGKILL: takes effect before anything else of ours runs
	}
	select {}
}

type arming struct {
	name string
	left atomic.Int64
}

// armed reads the environment once. It is the package's only state, and only
// in builds for tests.
var armed = sync.OnceValue(func() *arming {
	a, err := parse(os.Getenv(Environment))
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	return a
})

func parse(s string) (*arming, error) {
	a := &arming{}
	if s == "" {
		return a, nil
	}
	name, count, given := strings.Cut(s, ":")
	n := int64(1)
	if given {
		var err error
		if n, err = strconv.ParseInt(count, 10, 64); err != nil || n < 1 {
			return nil, fmt.Errorf("%s=%q: want name:count with a count of 1 or more", Environment, s)
		}
	}
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("%s=%q: no such point; there are %s", Environment, s, strings.Join(Names(), ", "))
	}
	a.name = name
	a.left.Store(n)
	return a, nil
}

// Set returns what GRAPNEL_CRASHPOINT_SET gives for name, a whole number or a
// duration such as 250ms, and else value.
func Set[T ~int | ~int64](name string, value T) T {
	for pair := range strings.SplitSeq(os.Getenv(Settings), ",") {
		given, ok := strings.CutPrefix(pair, name+"=")
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(given, 10, 64); err == nil {
			return T(n)
		}
		d, err := time.ParseDuration(given)
		if err != nil {
			fmt.Fprintf(os.Stderr, "error: %s: %q is neither a number nor a duration\n", Settings, pair)
			os.Exit(2)
		}
		return T(d)
	}
	return value
}
