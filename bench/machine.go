package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is where a report comes from.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"` // 0: not known
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// String is the machine in a line.
func (m Machine) String() string {
	return fmt.Sprintf("%d cores (%s), %d GiB, %s/%s %s, %s",
		m.Cores, orDefault(m.CPU, "unknown CPU"), (m.Memory+1<<29)>>30, m.OS, m.Arch, m.Kernel, m.Go)
}

func thisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version()}
	m.CPU = field("/proc/cpuinfo", "model name")
	if text, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " "); text != "" {
		kib, err := strconv.ParseInt(text, 10, 64)
		if err == nil {
			m.Memory = kib << 10
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil { // Linux only
		m.Kernel = strings.TrimSpace(string(text))
	}
	return m
}

// field finds "name : value" in a file of /proc; "" where there is none.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
