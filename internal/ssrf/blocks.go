package ssrf

import "net/netip"

// Block is a range of addresses that no request may reach.
type Block struct {
	Prefix netip.Prefix
	Name   string
}

func block(prefix, name string) Block { return Block{netip.MustParsePrefix(prefix), name} }

// Blocks are IANA's IPv4 and IPv6 special-purpose registries with the multicast and
// transition ranges beside them, the addresses at which clouds hand out credentials, and
// what IANA has not given out for global unicast.
var Blocks = []Block{
	block("0.0.0.0/8", "this network"), block("0.0.0.0/32", "this host"), block("10.0.0.0/8", "private use"), block("100.64.0.0/10", "shared, carrier NAT"),
	block("127.0.0.0/8", "loopback"), block("169.254.0.0/16", "link-local"), block("172.16.0.0/12", "private use"), block("192.0.0.0/24", "IETF protocols"),
	block("192.0.0.0/29", "DS-Lite"), block("192.0.0.8/32", "dummy address"), block("192.0.0.9/32", "port control anycast"), block("192.0.0.10/32", "TURN anycast"),
	block("192.0.0.170/31", "NAT64 discovery"), block("192.0.2.0/24", "TEST-NET-1"), block("192.31.196.0/24", "AS112"), block("192.52.193.0/24", "AMT"),
	block("192.88.99.0/24", "6to4 relays"), block("192.168.0.0/16", "private use"), block("192.175.48.0/24", "AS112"), block("198.18.0.0/15", "benchmarks"),
	block("198.51.100.0/24", "TEST-NET-2"), block("203.0.113.0/24", "TEST-NET-3"), block("224.0.0.0/4", "multicast"), block("240.0.0.0/4", "reserved, class E"),
	block("255.255.255.255/32", "broadcast"),
	block("::/128", "unspecified"), block("::1/128", "loopback"), block("::/96", "IPv4-compatible"), block("::ffff:0:0/96", "IPv4-mapped"),
	block("::ffff:0:0:0/96", "IPv4-translated"), block("64:ff9b::/96", "NAT64"), block("64:ff9b:1::/48", "local NAT64"), block("100::/64", "discard-only"),
	block("100:0:0:1::/64", "dummy prefix"), block("2001::/23", "IETF protocols"), block("2001::/32", "Teredo"), block("2001:1::1/128", "port control anycast"),
	block("2001:1::2/128", "TURN anycast"), block("2001:1::3/128", "DNS-SD anycast"), block("2001:2::/48", "benchmarks"), block("2001:3::/32", "AMT"),
	block("2001:4:112::/48", "AS112"), block("2001:10::/28", "ORCHID"), block("2001:20::/28", "ORCHIDv2"), block("2001:30::/28", "drone identities"),
	block("2001:db8::/32", "documentation"), block("2002::/16", "6to4"), block("2620:4f:8000::/48", "AS112"), block("3fff::/20", "documentation"),
	block("5f00::/16", "SRv6"), block("fc00::/7", "unique local"), block("fe80::/10", "link-local"), block("fec0::/10", "site-local"), block("ff00::/8", "multicast"),
	block("4000::/3", "not given out"), block("6000::/3", "not given out"), block("8000::/3", "not given out"), block("a000::/3", "not given out"),
	block("c000::/3", "not given out"), block("e000::/4", "not given out"),
	block("169.254.169.254/32", "metadata: most clouds"), block("169.254.170.2/32", "metadata: AWS tasks"), block("169.254.170.23/32", "metadata: AWS pods"),
	block("169.254.0.23/32", "metadata: Tencent"), block("169.254.42.42/32", "metadata: Scaleway"), block("100.100.100.200/32", "metadata: Alibaba"),
	block("168.63.129.16/32", "metadata: Azure WireServer"), block("192.0.0.192/32", "metadata: Oracle"), block("fd00:ec2::254/128", "metadata: AWS"),
	block("fd00:ec2::23/128", "metadata: AWS pods"), block("fd20:ce::254/128", "metadata: Google"), block("fd00:42::42/128", "metadata: Scaleway"),
	block("fe80::a9fe:a9fe/128", "metadata: OpenStack"), block("fd00:c1::a9fe:a9fe/128", "metadata: Oracle"),
}

// Forbidden finds the block that an address lies in; IPv4 addresses that an ISATAP
// interface id carries are blocks of their own.
func Forbidden(addr netip.Addr) (Block, bool) {
	for _, b := range Blocks {
		if b.Prefix.Contains(addr) {
			return b, true
		}
	}
	if addr.Is6() {
		b := addr.As16()
		if b[8]&^0x03 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
			return Block{netip.PrefixFrom(addr, 128), "ISATAP"}, true
		}
	}
	return Block{}, false
}
