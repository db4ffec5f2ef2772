package ssrf

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers for the whole world, in the ways of those who attack by names. All
// that it says may be forgotten at once (a TTL of 0).
type nameServer struct {
	mu    sync.Mutex
	asked map[string]int // by name and type, for names that change
}

// outside is the address of names that lead to a public host.
var outside = [2]netip.Addr{netip.MustParseAddr("93.184.215.14"), netip.MustParseAddr("2606:2800:21f:cb07::1")}

// serve answers until the socket is closed.
func (s *nameServer) serve(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := s.answer(buf[:n]); answer != nil {
			_, _ = conn.WriteTo(answer, from) // whoever asked asks again
		}
	}
}

func (s *nameServer) answer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	alias, addrs, known := s.lookup(name)
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	owner := q.Name
	if alias != "" {
		target := dnsmessage.MustNewName(alias + ".")
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET}, Body: &dnsmessage.CNAMEResource{CNAME: target}})
		owner = target
	}
	for _, a := range addrs {
		header := dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

// lookup says where a name leads.
func (s *nameServer) lookup(name string) (alias string, addrs []netip.Addr, known bool) {
	if way, ok := strings.CutSuffix(name, "."+Zone); ok {
		return s.zone(way)
	}
	for suffix, a := range insideNames {
		if name == suffix || strings.HasSuffix(name, "."+suffix) {
			return "", []netip.Addr{netip.MustParseAddr(a)}, true
		}
	}
	if strings.HasSuffix(name, ".example") && !strings.HasPrefix(name, "hosts-file") {
		return "", outside[:], true
	}
	return "", nil, false
}

// insideNames are names, and all below them, that lead inside. Single labels are not among
// them: they do with the search domain alone.
var insideNames = map[string]string{
	"localdomain": "127.0.0.1", "localtest.me": "127.0.0.1", "lvh.me": "127.0.0.1", "vcap.me": "127.0.0.1", "nip.io": "127.0.0.1", "sslip.io": "10.0.0.1", "google.internal": "169.254.169.254",
	"ec2.internal": "169.254.169.254", "azure.internal": "169.254.169.254", "tencentyun.com": "169.254.0.23", "svc": "10.96.0.1", "cluster.local": "10.96.0.1",
	"docker.internal": "192.168.65.254", "containers.internal": "10.0.2.2", "consul": "10.0.0.53", "router.local": "192.168.1.1", "search.example": "10.0.0.9",
}

// zone answers for the names that say where they lead.
func (s *nameServer) zone(name string) (alias string, addrs []netip.Addr, known bool) {
	way, text, _ := strings.Cut(name, "-")
	b, err := hex.DecodeString(text)
	a, ok := netip.AddrFromSlice(b)
	if err != nil || !ok {
		return "", nil, false
	}
	switch way {
	case "a":
		addrs = []netip.Addr{a}
	case "mixed":
		addrs = append(outside[:1:1], a)
	case "cname":
		alias, addrs = nameOf("a", a), []netip.Addr{a}
	case "rebind": // public at first, then inside
		addrs = []netip.Addr{a}
		if s.count(name) <= 2 { // the questions for A and for AAAA
			addrs = outside[:]
		}
	case "flip": // inside and outside by turns
		addrs = []netip.Addr{a}
		if s.count(name)/2%2 == 0 {
			addrs = outside[:]
		}
	}
	return alias, addrs, true
}

func (s *nameServer) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	s.asked[name]++
	return s.asked[name]
}
