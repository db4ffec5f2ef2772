package serve

import (
	"net"
	"net/netip"
	"os"
	"strconv"
)

// URL is where a person on this machine reaches the server.
func (s *Server) URL() string {
	a := addrPort(s.listener.Addr())
	host := a.Addr()
	if host.IsUnspecified() {
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	scheme := "http://"
	if s.certificate != nil {
		scheme = "https://"
	}
	return scheme + netip.AddrPortFrom(host, a.Port()).String()
}

// PublicURL is where others reach the server.
func (s *Server) PublicURL() string {
	if s.settings.PublicURL != "" {
		return s.settings.PublicURL
	}
	return s.URL()
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// reach is where other machines reach this server, as far as it can tell: where it
// listens, by this machine's name if that is all its addresses.
func (s *Server) reach() string {
	a := addrPort(s.listener.Addr())
	host := a.Addr().String()
	if name, err := os.Hostname(); err == nil && name != "" && a.Addr().IsUnspecified() {
		host = name
	}
	return net.JoinHostPort(host, strconv.Itoa(int(a.Port())))
}
