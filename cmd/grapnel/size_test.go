package main

import "testing"

func TestSizeText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 345_600: "337.5 KiB", 1 << 20: "1.0 MiB", 3 << 29: "1.5 GiB", 1 << 42: "4096.0 GiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
