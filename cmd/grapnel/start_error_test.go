package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"grapnel/internal/serve"
	"grapnel/internal/store/postgres"
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

// A database that refuses connections is not mistaken for a listener.
func TestStartErrorNamesTheDatabase(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://grapnel@127.0.0.1:1/grapnel", "postgres://grapnel:hidden@127.0.0.1:1,127.0.0.1:2/grapnel?sslmode=prefer"} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		var f *failure
		if err = startError(err); !errors.As(err, &f) || f.hint != databaseRemedy || f.code != exitUnavailable {
			t.Errorf("%#v", err)
		}
		text := fmt.Sprint(err)
		if strings.ContainsAny(text, "\n\t") || strings.Contains(text, "hidden") || !strings.Contains(text, `cannot connect to database "grapnel" as "grapnel"`) || strings.Count(text, "127.0.0.1:1 ") != 1 {
			t.Errorf("not one clear line: %q", text)
		}
	}
}
