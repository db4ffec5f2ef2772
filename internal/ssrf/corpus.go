package ssrf

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Zone is the domain whose names lead wherever the name itself says.
const Zone = "ssrf.example"

// inside are addresses that every trick of the corpus is played with.
var inside = []netip.Addr{
	netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("172.16.0.1"), netip.MustParseAddr("192.168.1.1"),
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("0.0.0.0"),
}

// Hostile gives every URL that must lead nowhere, without repetition and always in the
// same order. Some are no URLs; all others lead to a forbidden address, or to a port that
// no webhook is taken at.
func Hostile() []string {
	var all []string
	add := func(urls ...string) { all = append(all, urls...) }
	for _, b := range Blocks {
		for _, a := range within(b.Prefix) {
			add("http://"+literal(a)+"/", "https://"+literal(a)+":8443/hook")
			if _, closed := Forbidden(a.Unmap()); closed { // a name server may say an IPv4 address in the mapped form
				add("http://" + nameOf("a", a) + "/")
			}
		}
		first := b.Prefix.Addr()
		add("http://"+nameOf("mixed", first)+"/", "http://"+nameOf("cname", first)+"/hook", "http://"+nameOf("rebind", first)+":8080/", "http://"+nameOf("flip", first)+"/")
	}
	for _, a := range inside {
		for _, host := range slices.Concat(spellings(a), transitions(a)) {
			add("http://"+host+"/", "http://"+host+":8080/latest/meta-data/")
		}
		add(disguises(a.String())...)
	}
	for _, host := range names {
		add("http://"+host+"/", "https://"+host+"/", "http://"+strings.ToUpper(host)+"./", "http://"+host+":8080/computeMetadata/v1/")
	}
	for _, port := range []int{0, 1, 7, 19, 21, 22, 23, 25, 53, 110, 143, 389, 445, 465, 587, 993, 1433, 2049, 2379, 3306, 3389, 5432, 5900, 6379, 9092, 11211, 27017, 65536, 99999} {
		add(fmt.Sprintf("http://93.184.215.14:%d/", port), fmt.Sprintf("http://hooks.customer-1.example:%d/", port))
	}
	for _, scheme := range []string{"ftp", "gopher", "dict", "file", "ldap", "ws", "wss", "tcp", "unix", "jar", "netdoc", "data", "javascript", "sftp", "tftp", "h2c", "http+unix", "HTTP:", "//", ""} {
		add(scheme+"://127.0.0.1/", scheme+"://169.254.169.254/latest/meta-data/", scheme+":127.0.0.1", scheme+":///etc/passwd")
	}
	return unique(all)
}

func unique(all []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
}

// within are the first, second, middle and last addresses of a range.
func within(p netip.Prefix) []netip.Addr {
	b := p.Addr().AsSlice()
	var addrs []netip.Addr
	for _, fill := range []func(bit int) bool{
		func(int) bool { return false },
		func(bit int) bool { return bit == len(b)*8-1 },
		func(bit int) bool { return bit == p.Bits() },
		func(bit int) bool { return bit%3 == 0 },
		func(bit int) bool { return bit != len(b)*8-1 },
		func(int) bool { return true },
	} {
		c := slices.Clone(b)
		for bit := p.Bits(); bit < len(c)*8; bit++ {
			if fill(bit) {
				c[bit/8] |= 0x80 >> (bit % 8)
			}
		}
		a, _ := netip.AddrFromSlice(c)
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

func literal(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// nameOf is a name that leads to an address in a way of the name server's.
func nameOf(way string, a netip.Addr) string {
	return way + "-" + hex.EncodeToString(a.AsSlice()) + "." + Zone
}

// spellings are the ways to write an IPv4 address that some reader or other takes.
func spellings(a netip.Addr) []string {
	b := a.As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	rest, low := n&0xffffff, n&0xffff
	text := a.String()
	return []string{
		text, text + ".", text + "..", fmt.Sprint(n), fmt.Sprint(n) + ".", fmt.Sprintf("%#x", n), fmt.Sprintf("0X%X", n), fmt.Sprintf("0%o", n), fmt.Sprintf("000%o", n), fmt.Sprint(uint64(n) + 1<<32),
		fmt.Sprintf("%d.%d", b[0], rest), fmt.Sprintf("%d.%d.%d", b[0], b[1], low), fmt.Sprintf("%#x.%d", b[0], rest), fmt.Sprintf("0%o.%#x", b[0], rest),
		fmt.Sprintf("0%o.0%o.0%o.0%o", b[0], b[1], b[2], b[3]), fmt.Sprintf("%#x.%#x.%#x.%#x", b[0], b[1], b[2], b[3]), fmt.Sprintf("%03d.%03d.%03d.%03d", b[0], b[1], b[2], b[3]),
		fmt.Sprintf("0%o.%d.%#x.%d", b[0], b[1], b[2], b[3]), fmt.Sprintf("%d.%d.%d.0%o", b[0], b[1], b[2], b[3]), fmt.Sprintf("%d.%d.%d.%d", int(b[0])+256, b[1], b[2], b[3]),
		strings.ReplaceAll(text, ".", "。"), strings.ReplaceAll(text, ".", "．"), strings.ReplaceAll(text, ".", "｡"), strings.ReplaceAll(text, ".", "%2e"), strings.ReplaceAll(text, ".", "%E3%80%82"),
		digits(text, '０'), digits(text, '𝟎'), digits(text, '𝟘'), digits(text, '٠'), digits(text, '०'), circled(text), percent(text), "[" + text + "]", "\u00ad" + text, text + "\u200b", text + "%00", text + "\t", text + "%20", "%0a" + text,
	}
}

// digits writes the digits of a text from another zero on.
func digits(text string, zero rune) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return zero + r - '0'
		}
		return r
	}, text)
}

func circled(text string) string {
	return strings.NewReplacer("0", "⓪", "1", "①", "2", "②", "3", "③", "4", "④", "5", "⑤", "6", "⑥", "7", "⑦", "8", "⑧", "9", "⑨").Replace(text)
}

func percent(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, "%%%02x", text[i])
	}
	return b.String()
}

// transitions are the IPv6 addresses that carry an IPv4 address, in several spellings.
func transitions(a netip.Addr) []string {
	b := a.As4()
	high, low := uint16(b[0])<<8|uint16(b[1]), uint16(b[2])<<8|uint16(b[3])
	var all []string
	for _, form := range []string{
		"::ffff:%x:%x", "::%x:%x", "::ffff:0:%x:%x", "64:ff9b::%x:%x", "64:ff9b:1::%x:%x", "64:ff9b:1:ffff:ffff:ffff:%x:%x", "2002:%x:%x::", "2002:%x:%x::1", "2002:%x:%x:ffff::1",
		"fe80::5efe:%x:%x", "2600::5efe:%x:%x", "2a00:1450:4001::200:5efe:%x:%x", "2600::0:5efe:%x:%x", "0:0:0:0:0:ffff:%x:%x", "0000:0000:0000:0000:0000:FFFF:%04X:%04X",
		"::ffff:%x:%x%%25lo", "::ffff:%x:%x%%lo", "fe80::%x:%x%%25eth0", "fe80::%x:%x%%251", "fec0::%x:%x", "fd00::%x:%x", "ff02::%x:%x", "5f00::%x:%x",
	} {
		all = append(all, "["+fmt.Sprintf(form, high, low)+"]")
	}
	return append(all, fmt.Sprintf("[2001:0:4136:e378:8000:63bf:%x:%x]", ^high, ^low), "[::ffff:"+a.String()+"]", "[::"+a.String()+"]", "[64:ff9b::"+a.String()+"]", "[::ffff:0:"+a.String()+"]", "["+a.String())
}

// disguises are URLs that look as if they led elsewhere.
func disguises(host string) []string {
	var all []string
	for _, form := range []string{
		"http://example.com@%s/", "http://example.com:80@%s/", "http://user:pass@%s/", "http://%s@%[1]s/", "http://example.com%%40%s/", "http://%s#@example.com/", "http://%s?@example.com/",
		"http://%s\\@example.com/", "http://example.com\\@%s/", "http://example.com;@%s/", "http:/%s/", "http:%s/", "http:///%s/", "http:////%s/", "http:\\\\%s\\", "//%s/", " http://%s/", "http://%s/ ",
		"http://%s:80:80/", "http://%s:/", "http://%s:080/", "http://%s:80%%20/", "http://%s:+80/", "http://%s:0x50/", "http://%s:８０/", "http://%s:80@example.com/", "http://a@b@%s/", "HTTP://%s/", "hTtPs://%s/",
		"http://%s/#", "http://%s/..//", "http://%s/%%0d%%0aHost:%%20x", "http://%s/\r\nX: y", "http://%s\r\n/", "http://%s\x00.example.com/", "http://%s,example.com/", "http://example.com,%s/", "http://%s example.com/",
		"http://%s&example.com/", "http://[%s]:80/", "http://%s[::1]/", "http://{%s}/", "url:http://%s/", "jar:http://%s!/", "http://%s.nip.io/", "http://www.%s.sslip.io/", "http://%s%%23.example.com/", "http://\t%s/",
	} {
		all = append(all, fmt.Sprintf(form, host))
	}
	return all
}

// names lead inside, by what everybody's resolver or this network's says of them.
var names = []string{
	"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback", "a.localhost", "foo.bar.localhost", "ｌocalhost", "loc%61lhost", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "localtest.me", "lvh.me", "vcap.me", "127-0-0-1.nip.io",
	"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal", "metadata.azure.internal", "metadata.tencentyun.com", "kubernetes.default.svc",
	"kubernetes.default.svc.cluster.local", "host.docker.internal", "gateway.docker.internal", "host.containers.internal", "consul.service.consul", "vault.service.consul", "router.local", "intranet", "db", "wpad",
	"hosts-file.example", "hosts-file-six.example", "hidden.search.example",
}

// Public gives URLs that must lead where they say, each with an address of its own or a
// name: those beside the forbidden ranges before all.
func Public() []string {
	var all []string
	for _, host := range []string{
		"1.0.0.0", "1.1.1.1", "8.8.8.8", "9.9.9.9", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0", "168.63.129.15", "168.63.129.17",
		"172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.31.195.255", "192.31.197.0", "192.52.192.255", "192.52.194.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0",
		"192.175.47.255", "192.175.49.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "93.184.215.14",
		"[2001:200::1]", "[2001:4860:4860::8888]", "[2003::1]", "[2400:cb00::1]", "[2600::1]", "[2600:1901::1]", "[2606:4700::1111]", "[2607:f8b0::1]", "[2620:4f:7fff::1]", "[2620:4f:8001::1]", "[2620:fe::fe]",
		"[2800:3f0::1]", "[2a00:1450:4001:81b::200e]", "[2a03:2880::1]", "[2c0f:fb50::1]", "[2600::5efd:7f00:1]", "[3ffe::1]", "[2001:db7:ffff::1]", "[2001:db9::1]",
	} {
		all = append(all, "http://"+host+"/hook", "http://"+host+":8080/hook")
	}
	for i := range 50 {
		all = append(all, fmt.Sprintf("http://hooks.customer-%d.example/hook?a=%%2e%%2e&b=1", i), fmt.Sprintf("http://Api-%d.Bücher.example.:8080/", i))
	}
	return append(all, "http://localhost.customer.example/", "http://127.0.0.1.customer.example/", "http://0x7f.customer.example/", "http://metadata.customer.example/", "http://10.customer.example/",
		"http://xn--bcher-kva.example/", "http://_hooks.customer.example/", "http://a--b.customer.example/", "http://customer.example:81/", "http://customer.example:65535/", "http://169-254-169-254.customer.example/")
}
