package child

import (
	"bytes"
	"errors"
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

// ErrUnknown: this system does not tell.
var ErrUnknown = errors.New("usage is not known here")

// Tree is what a process and those that it has started have cost so far.
type Tree struct {
	CPU     time.Duration // also of children that have ended
	Written int64         // bytes sent to the storage layer by those that there are
}

// ReadTree reads the usage of a process and its children, as of a server that has
// one for each connection. ErrUnknown where there is no /proc.
func ReadTree(pid int) (t Tree, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	found := false
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		fields := statFields(stat)
		if err != nil || len(fields) < 15 || n != pid && fields[1] != strconv.Itoa(pid) {
			continue // it has ended meanwhile, or is none of these
		}
		own, ended := ticks(fields[11:13]), time.Duration(0)
		if n == pid {
			found, ended = true, ticks(fields[13:15])
		}
		t.CPU += own + ended
		if io, err := os.ReadFile("/proc/" + e.Name() + "/io"); err == nil { // not readable everywhere
			t.Written += number(io, "write_bytes:")
		}
	}
	if !found {
		return t, fmt.Errorf("%w: there is no process %d in /proc", ErrUnknown, pid)
	}
	return t, nil
}

// statFields are those of /proc/PID/stat from the third on, the state: the second is
// the program's name in parentheses and may hold anything.
func statFields(stat []byte) []string {
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

// ticks adds CPU times up.
func ticks(fields []string) (sum time.Duration) {
	for _, f := range fields {
		n, _ := strconv.ParseInt(f, 10, 64) // the kernel writes numbers
		sum += time.Duration(n) * clockTick
	}
	return sum
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
