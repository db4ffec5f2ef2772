package main

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"grapnel/internal/serve"
)

// TestStartErrorNamesTheListener has the hint name the setting whose address
// is taken or not this machine's.
func TestStartErrorNamesTheListener(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"--listen", "--admin-listen"} {
		for _, why := range []error{syscall.EADDRINUSE, syscall.EADDRNOTAVAIL} {
			err := startError(&serve.ListenError{Setting: setting, Err: &net.OpError{Op: "listen", Err: why}})
			var f *failure
			if !errors.As(err, &f) || !strings.HasSuffix(f.hint, " with "+setting) {
				t.Errorf("%s, %v: %#v", setting, why, err)
			}
		}
	}
}
