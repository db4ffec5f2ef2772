package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"code.dny.dev/ssrf"
)

// verdict is what the guard says about an address.
type verdict uint8

const (
	permitted  verdict = iota
	reserved           // private, special or reserved range
	deniedPort         // a public address, on a port that speaks something else than HTTP
	ownAddress         // one of our own listeners
	metadata           // a cloud's metadata or credentials service: closed whatever the operator opens
)

// guard decides which addresses may be dialled.
type guard struct {
	allow  []netip.Prefix
	deny   []netip.Prefix
	exempt func() []netip.AddrPort
	self   func() []netip.AddrPort
	ports  []uint16 // denied on public addresses; sorted
	public *ssrf.Guardian
}

func newGuard(c *Config) (*guard, error) {
	g := &guard{exempt: c.Exempt, self: c.Self, ports: slices.Clone(c.DenyPorts), public: ssrf.New(ssrf.WithAnyPort())}
	if c.DenyPorts == nil {
		g.ports = slices.Clone(nonHTTPPorts[:])
	}
	slices.Sort(g.ports)
	var err error
	if g.allow, err = ranges(c.Allow); err != nil {
		return nil, err
	}
	if g.deny, err = ranges(c.Deny); err != nil {
		return nil, err
	}
	return g, nil
}

func ranges(given []netip.Prefix) (masked []netip.Prefix, err error) {
	for _, p := range given {
		if !p.IsValid() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("egress: %s is not a range of addresses that can be allowed or denied", p)
		}
		masked = append(masked, p.Masked())
	}
	return masked, nil
}

// check is asked for every address before it is dialled, and again by the
// dialler for the one that the socket connects to. IPv4 addresses must come
// in their own form: one mapped into IPv6 is denied like every other
// transition form.
func (g *guard) check(ap netip.AddrPort) verdict {
	addr, port := ap.Addr(), ap.Port()
	inner := embedded(addr)
	switch {
	case !addr.IsValid() || addr.Zone() != "" || port == 0:
		return reserved
	case isMetadata(addr) || slices.ContainsFunc(inner, isMetadata):
		return metadata
	case within(g.deny, addr) || slices.ContainsFunc(inner, func(a netip.Addr) bool { return within(g.deny, a) }):
		return reserved
	case g.exempt != nil && slices.Contains(g.exempt(), ap):
		return permitted
	case g.isSelf(ap):
		return ownAddress
	case g.allowed(addr):
		// An allowed NAT64 or 6to4 range must not smuggle in an IPv4 address
		// that is not open itself.
		if slices.ContainsFunc(inner, func(a netip.Addr) bool { return !g.allowed(a) && g.public.SafeAddr(a) != nil }) {
			return reserved
		}
		return permitted
	case isISATAP(addr) || g.public.SafeAddr(addr) != nil:
		return reserved
	case g.portDenied(port):
		return deniedPort
	}
	return permitted
}

func (g *guard) allowed(addr netip.Addr) bool { return within(g.allow, addr) }

func within(ranges []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (g *guard) portDenied(port uint16) bool {
	_, found := slices.BinarySearch(g.ports, port)
	return found
}

// isSelf reports whether ap is one of our own listeners. A listener on all
// addresses is found under each address of this machine, and connecting to the
// unspecified address reaches the loopback one.
func (g *guard) isSelf(ap netip.AddrPort) bool {
	if g.self == nil {
		return false
	}
	for _, own := range g.self() {
		own = netip.AddrPortFrom(own.Addr().Unmap().WithZone(""), own.Port())
		switch {
		case own.Port() != ap.Port():
		case own.Addr() == ap.Addr(),
			own.Addr().IsUnspecified() && isLocal(ap.Addr()),
			own.Addr().IsLoopback() && ap.Addr().IsUnspecified():
			return true
		}
	}
	return false
}

// isLocal reports whether addr is an address of this machine. When that
// cannot be found out, the answer is yes.
func isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == addr {
				return true
			}
		}
	}
	return false
}

// metadataRanges hold the services from which a cloud's machine reads its
// credentials. Most lie in ranges that are denied anyway; they are listed so
// that opening such a range does not open them (case 85).
var metadataRanges = [...]netip.Prefix{
	netip.MustParsePrefix("169.254.169.0/24"),       // AWS, Google, Azure, Oracle, DigitalOcean, …
	netip.MustParsePrefix("169.254.170.0/24"),       // AWS task and pod credentials
	netip.MustParsePrefix("169.254.0.23/32"),        // Tencent
	netip.MustParsePrefix("169.254.42.42/32"),       // Scaleway
	netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba
	netip.MustParsePrefix("168.63.129.16/32"),       // Azure WireServer, by number a public address
	netip.MustParsePrefix("192.0.0.192/32"),         // Oracle, classic
	netip.MustParsePrefix("fd00:ec2::/32"),          // AWS
	netip.MustParsePrefix("fd20:ce::254/128"),       // Google
	netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway
	netip.MustParsePrefix("fe80::a9fe:a9fe/128"),    // OpenStack
	netip.MustParsePrefix("fd00:a9fe:a9fe::/64"),    // Linode
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle
}

func isMetadata(addr netip.Addr) bool {
	for _, p := range &metadataRanges {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// nonHTTPPorts are ports on which a public host speaks something else, so
// that a webhook there is a mistake or an attack on a third party (case 87).
var nonHTTPPorts = [...]uint16{
	1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 49, 53, 69, 70, 79, 87, 88, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123,
	135, 137, 138, 139, 143, 161, 162, 177, 179, 194, 199, 389, 427, 445, 464, 465, 502, 512, 513, 514, 515, 526, 530, 531, 532, 540, 543, 544, 548, 554, 556,
	563, 587, 601, 623, 636, 853, 860, 873, 902, 989, 990, 992, 993, 995, 1025, 1080, 1194, 1433, 1434, 1521, 1701, 1719, 1720, 1723, 1883, 2049, 2379, 2380,
	3128, 3260, 3268, 3269, 3306, 3389, 3478, 3659, 4045, 4190, 4369, 4444, 5060, 5061, 5222, 5269, 5353, 5432, 5433, 5671, 5672, 5900, 5901, 6000, 6379, 6380,
	6432, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 7000, 7001, 8883, 9042, 9092, 9093, 9160, 9300, 10080, 11211, 11214, 11215, 26257, 26379, 27017,
	27018, 27019, 28015, 33060, 50000, 61613, 61616,
}

// isISATAP reports whether an IPv6 address carries an IPv4 address in an
// ISATAP interface id (RFC 5214, section 6.1).
func isISATAP(addr netip.Addr) bool {
	if !addr.Is6() {
		return false
	}
	b := addr.As16()
	return b[8]&^0x03 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	nat64Own  = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour = netip.MustParsePrefix("2002::/16")
	teredo    = netip.MustParsePrefix("2001::/32")
	compat    = netip.MustParsePrefix("::/96")
	siit      = netip.MustParsePrefix("::ffff:0:0:0/96")
)

// embedded are the IPv4 addresses that an IPv6 transition address may stand for.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	addr = addr.WithZone("")
	b := addr.As16()
	last := netip.AddrFrom4([4]byte(b[12:16]))
	switch {
	case nat64Own.Contains(addr):
		// Whoever runs the translator chose where in it the address is (RFC 6052,
		// section 2.2). What reads as 0.0.0.0/8 is no address but the zeros around one.
		places := [...][4]byte{{b[6], b[7], b[9], b[10]}, {b[7], b[9], b[10], b[11]}, [4]byte(b[9:13])}
		all := []netip.Addr{last}
		for _, p := range places {
			if p[0] != 0 {
				all = append(all, netip.AddrFrom4(p))
			}
		}
		return all
	case addr.Is4In6(), nat64.Contains(addr), compat.Contains(addr), siit.Contains(addr), isISATAP(addr):
		return []netip.Addr{last}
	case sixToFour.Contains(addr):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case teredo.Contains(addr):
		return []netip.Addr{netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	return nil
}

// errBlocked is the one error for everything that the guard denies, so that
// an endpoint's owner cannot tell what is behind a closed address (case 89).
var errBlocked = errors.New("egress: the address is not allowed")
