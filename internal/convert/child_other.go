//go:build !linux

package convert

import (
	"os"
	"os/exec"
	"time"
)

// limitMemory reports that the system does not bound the memory of a process.
func limitMemory(uint64) bool { return false }

// self is this program.
func self() (string, error) { return os.Executable() }

// tie leaves it to the child to end when its input does.
func tie(*exec.Cmd) {}

// cpuTime is not known.
func cpuTime() (time.Duration, bool) { return 0, false }

// apart and yield do nothing here: see child_linux.go.
func apart(*exec.Cmd) {}
func yield(int)       {}
