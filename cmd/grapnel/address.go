package main

import (
	"net"
	"strconv"
)

// portOf is the port of HOST:PORT, or 0.
func portOf(listen string) int {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// checkListen refuses what cannot be listened on.
func checkListen(listen string) error {
	if portOf(listen) == 0 {
		return fail(exitUsage, "write HOST:PORT, such as 127.0.0.1:8080, or :8080 for all addresses", "--listen: %q is not an address with a port", listen)
	}
	return nil
}
