//go:build linux || darwin || freebsd

package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// descriptorLimit is how many files the process may have open.
func descriptorLimit() (uint64, bool) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, false
	}
	return uint64(min(r.Cur, math.MaxInt64)), true
}
