package callers

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops bounds how many addresses of a chain of proxies are looked at. Who
// stands behind more is not known.
const maxHops = 16

// proxies are the ranges of the proxies that are believed about who calls.
type proxies []netip.Prefix

func (p proxies) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(r netip.Prefix) bool { return r.Contains(addr) })
}

// client is the address of whoever made a request: the peer's, unless that is
// a trusted proxy, which tells of its own peer in X-Forwarded-For or in
// Forwarded (RFC 7239). Each hop is believed only as long as the one after it
// is trusted, so the last address that is no trusted proxy's is the answer; a
// caller can write into these headers, but only further to the front.
//
// A proxy writes one of the two and may pass the other on as the caller sent
// it. So when they disagree neither is believed, and the proxy itself counts
// as the client. The zero Addr stands for a peer without an IP address.
func (p proxies) client(r *http.Request) netip.Addr {
	peer := peerOf(r)
	if len(p) == 0 || !p.trusts(peer) {
		return peer
	}
	listed, forwarded := r.Header["X-Forwarded-For"], r.Header["Forwarded"]
	switch {
	case len(forwarded) == 0:
		return p.walk(peer, listed, func(hop string) string { return hop })
	case len(listed) == 0:
		return p.walk(peer, forwarded, forParameter)
	}
	one := p.walk(peer, listed, func(hop string) string { return hop })
	if other := p.walk(peer, forwarded, forParameter); other != one {
		return peer
	}
	return one
}

// walk goes from the last hop to the first. node takes the text of an address
// out of a hop. What cannot be read ends the walk at the hop that wrote it.
func (p proxies) walk(peer netip.Addr, lines []string, node func(string) string) netip.Addr {
	at, hops := peer, 0
	for i := len(lines) - 1; i >= 0; i-- {
		rest, more := lines[i], true
		for more {
			var hop string
			cut := strings.LastIndexByte(rest, ',')
			if more = cut >= 0; more {
				rest, hop = rest[:cut], rest[cut+1:]
			} else {
				hop = rest
			}
			addr, ok := parseNode(node(strings.TrimSpace(hop)))
			if hops++; !ok || hops > maxHops {
				return at
			}
			if at = addr; !p.trusts(at) {
				return at
			}
		}
	}
	return at
}

// forParameter is the value of "for" in an element of Forwarded.
func forParameter(element string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "for") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// parseNode reads an address with or without a port: "192.0.2.1",
// "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". Words
// such as "unknown" are none.
func parseNode(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil && strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		addr, err = netip.ParseAddr(text[1 : len(text)-1])
	}
	if err != nil {
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(text)
		addr = ap.Addr()
	}
	return addr.Unmap().WithZone(""), err == nil
}
