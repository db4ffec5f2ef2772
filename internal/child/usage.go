package child

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has cost so far, as /proc tells it (Linux only).
type Usage struct {
	CPU     time.Duration // user and system, all threads
	RSS     int64         // bytes resident now
	PeakRSS int64         // most bytes resident ever
	FDs     int           // open descriptors
	Sockets int           // those of them that are sockets
	Written int64         // bytes sent to the storage layer
}

// clockTick is USER_HZ, which Linux fixes at 100 for all architectures that
// Go runs on.
const clockTick = 10 * time.Millisecond

// ReadUsage reads the usage of a process.
func ReadUsage(pid int) (Usage, error) {
	var u Usage
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, fmt.Errorf("usage: %w", err)
	}
	if u.CPU, err = cpuOf(stat); err != nil {
		return u, fmt.Errorf("usage of %d: %w", pid, err)
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return u, fmt.Errorf("usage: %w", err)
	}
	u.RSS, u.PeakRSS = kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")
	u.FDs, u.Sockets = descriptors(dir + "fd")
	if io, err := os.ReadFile(dir + "io"); err == nil { // not readable everywhere
		u.Written = number(io, "write_bytes:")
	}
	return u, nil
}

// ReadMemory reads the bytes that a process has resident now. It costs less than
// ReadUsage, which looks at every descriptor.
func ReadMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	return kilobytes(status, "VmRSS:"), nil
}

// cpuOf reads utime and stime, fields 14 and 15 of /proc/PID/stat. The second
// field is the program's name in parentheses and may hold anything.
func cpuOf(stat []byte) (time.Duration, error) {
	_, rest, ok := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("stat has %d fields after the name", len(fields))
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * clockTick, nil
}

func kilobytes(status []byte, name string) int64 { return number(status, name) * 1024 }

func number(text []byte, name string) int64 {
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return 0
}

func descriptors(dir string) (all, sockets int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		if target, err := os.Readlink(dir + "/" + e.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	return len(entries), sockets
}
