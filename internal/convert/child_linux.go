package convert

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// limitMemory bounds the memory of this process to what it has and so many bytes
// more. It reports whether the system agreed.
func limitMemory(more uint64) bool {
	// Where a container's memory is at an end, it is we who should go.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // a wish
	has, ok := dataSize()
	if !ok {
		has = 256 << 20
	}
	// Not the address space, of which Go reserves plenty that it never uses.
	limit := has + more
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: limit, Max: limit}) == nil
}

// dataSize is what RLIMIT_DATA counts of this process (proc_pid_status(5)).
func dataSize() (uint64, bool) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	_, rest, _ := bytes.Cut(text, []byte("\nVmData:"))
	line, _, _ := bytes.Cut(rest, []byte(" kB\n"))
	kb, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 54)
	return kb << 10, err == nil
}

// self is this very program, also after its file was replaced by a newer one,
// which might speak otherwise.
func self() (string, error) {
	const running = "/proc/self/exe"
	if _, err := os.Stat(running); err == nil {
		return running, nil
	}
	return os.Executable()
}

// tie makes a child end with its parent, however that ends.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// cpuTime is how much of the processors' time this process has used.
func cpuTime() (time.Duration, bool) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err == nil
}

// apart makes a process the first of a group, so that yield reaches all its threads.
func apart(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// yield makes a process that was set apart the last to get a processor, if the system
// agrees.
func yield(pid int) { _ = syscall.Setpriority(syscall.PRIO_PGRP, pid, 19) }
