package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portHolder is the process that listens on a TCP port, such as "nginx
// (process 812)", as far as /proc tells this user; else "".
func portHolder(port int) string {
	socket := ""
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if inode := listeningInode(string(b), port); inode != "" {
			socket = "socket:[" + inode + "]"
		}
	}
	if socket == "" {
		return ""
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != socket {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), filepath.Base(process))
	}
	return ""
}

// listeningInode finds the socket that listens on a port in a table of
// /proc/net (proc(5)).
func listeningInode(table string, port int) string {
	const listening, localAddress, state, inode = "0A", 1, 3, 9
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) <= inode || f[state] != listening {
			continue
		}
		_, hex, ok := strings.Cut(f[localAddress], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); ok && err == nil && int(n) == port {
			return f[inode]
		}
	}
	return ""
}
