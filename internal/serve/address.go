package serve

import (
	"net"
	"net/netip"
)

// URL is where a person on this machine reaches the server.
func (s *Server) URL() string {
	a := addrPort(s.listener.Addr())
	host := a.Addr()
	if host.IsUnspecified() {
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return "http://" + netip.AddrPortFrom(host, a.Port()).String()
}

// PublicURL is where others reach the server.
func (s *Server) PublicURL() string {
	if s.settings.PublicURL != "" {
		return s.settings.PublicURL
	}
	return s.URL()
}

// ownAddresses lists all addresses under which a listener can be reached from
// this machine, so that no delivery goes to ourselves (case 87).
func ownAddresses(listener net.Addr) []netip.AddrPort {
	a := addrPort(listener)
	if !a.Addr().IsUnspecified() {
		return []netip.AddrPort{a}
	}
	out := []netip.AddrPort{
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port()),
		netip.AddrPortFrom(netip.IPv6Loopback(), a.Port()),
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return out // the guard still denies loopback and private ranges by itself
	}
	for _, i := range all {
		if p, err := netip.ParsePrefix(i.String()); err == nil {
			out = append(out, netip.AddrPortFrom(p.Addr().Unmap(), a.Port()))
		}
	}
	return out
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
