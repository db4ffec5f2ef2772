//go:build !unix

package hostile

import (
	"errors"
	"net/netip"
)

// Blackhole is an address that drops connection requests. It exists on Unix
// alone.
func Blackhole() (addr netip.AddrPort, stop func(), err error) {
	return netip.AddrPort{}, nil, errors.New("hostile: there is no blackhole on this system")
}
