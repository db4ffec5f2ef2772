package main

import (
	"testing"

	"grapnel/client"
)

// A count that is not exact is told as what there is at least.
func TestWould(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		preview client.ReplayPreview
		want    string
	}{
		{client.ReplayPreview{Count: 200_000}, "send at least 200000 deliveries again"},
		{client.ReplayPreview{Count: 1, Exact: true}, "send 1 delivery again"},
	} {
		if got := would(&c.preview); got != c.want {
			t.Errorf("%+v: %q, want %q", c.preview, got, c.want)
		}
	}
}
