package egress_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/hostile"

	"github.com/google/go-cmp/cmp"
)

// answers is a Lookup that gives the same addresses for every name.
func answers(addrs ...string) func(context.Context, string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, a := range addrs {
		all = append(all, netip.MustParseAddr(a))
	}
	return func(context.Context, string) ([]netip.Addr, error) { return all, nil }
}

var closed = []netip.Prefix{} // allows nothing

// denied are the ranges of case 80.
var denied = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24",
	"192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
	"240.0.0.0/4", "255.255.255.255/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",
	"::/96", "::1/128", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/32", "2001:2::/48",
	"2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fd00:ec2::254/128",
	"fd20:ce::254/128", "fe80::/10", "fec0::/10", "ff00::/8", "4000::/3", "8000::/1", "2600::5efe:7f00:1/128", "2600::200:5efe:a00:0/104", "2a00:1450::5efe:0:0/96",
}

// deniedAddrs are the ends of each range and some addresses within.
func deniedAddrs() []netip.Addr {
	random := rand.New(rand.NewPCG(1, 80))
	var all []netip.Addr
	for _, text := range denied {
		p := netip.MustParsePrefix(text)
		first := p.Addr().AsSlice()
		for i := range 42 {
			b := append([]byte(nil), first...)
			for bit := p.Bits(); bit < len(b)*8; bit++ {
				if i == 1 || i > 1 && random.IntN(2) == 1 {
					b[bit/8] |= 0x80 >> (bit % 8)
				}
			}
			a, _ := netip.AddrFromSlice(b)
			all = append(all, a)
		}
	}
	return all
}

// case 80: more than 2,000 addresses, each as a literal and as the answer of
// a name server; none is dialled, and all look alike (case 89).
func TestDeniedAddresses(t *testing.T) {
	t.Parallel()
	var answer netip.Addr
	c := newClient(t, egress.Config{Allow: closed, Lookup: func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{answer}, nil }})
	addrs := deniedAddrs()
	if len(addrs) < 2000 {
		t.Fatalf("only %d addresses", len(addrs))
	}
	for _, a := range addrs {
		host := a.String()
		if a.Is6() {
			host = "[" + host + "]"
		}
		if err := c.CheckURL("https://" + host + "/"); hook.CodeOf(err) != hook.CodeInvalid {
			t.Errorf("%s: CheckURL gave %v", a, err)
		}
		answer = a
		for _, url := range []string{"https://" + host + "/", "http://example.com/"} {
			if a.Is4In6() && !strings.Contains(url, "[") && !isDenied4(a.Unmap()) {
				continue // a name server's way to say an IPv4 address
			}
			wantBlocked(t, c.Do(t.Context(), post(url, long)), a.String()+" by "+url)
		}
	}
}

func isDenied4(a netip.Addr) bool {
	for _, text := range denied {
		if netip.MustParsePrefix(text).Contains(a) {
			return true
		}
	}
	return false
}

func wantBlocked(t testing.TB, res *egress.Result, what string) {
	t.Helper()
	if res.Class != egress.ClassBlocked || res.Detail != "requests to this address are not allowed" || res.RemoteAddr != "" || res.RequestHeader != nil || res.Status != 0 || res.Header != nil || res.Body != nil || // case 90
		res.Timing.Connect != 0 {
		t.Errorf("%s: class %q, detail %q, remote %q, connect %v", what, res.Class, res.Detail, res.RemoteAddr, res.Timing.Connect)
	}
}

// Public addresses pass CheckURL, also those next to the denied ranges.
func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	c := newClient(t, egress.Config{Allow: closed})
	for _, host := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0",
		"172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15",
		"[2600::1]", "[2a00:1450:4001:81b::200e]", "[2606:4700::1111]", "[2001:200::1]", "[2001:4860:4860::8888]", "[2003::1]", "[2600::5efd:7f00:1]",
	} {
		if err := c.CheckURL("https://" + host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// case 81: other ways to write 127.0.0.1 never reach a listener there. The
// resolver is the real one, in its pure Go form.
func TestOtherWaysToWriteLoopback(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{}))
	c := newClient(t, egress.Config{Allow: closed})
	port := fmt.Sprint(":", s.Addr().Port())
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0177.0.0.1", "017700000001", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "127.0.0.01",
		"127.0.0.1..", "①②⑦.⓪.⓪.①", "127。0。0。1", "127．0．0．1", "１２７.0.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
		"[2002:7f00:1::]", "[0:0:0:0:0:0:0:1]", "localhost", "localhost.", "LOCALHOST", "ｌocalhost", "a.localhost", "[::1%25lo]", "[::1%lo]", "%31%32%37.0.0.1", "127.0.0.1%00",
		"0.0.0.0.", "0x0", "00", "127.0.0.1\t", "user@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1:80@127.0.0.1", "[127.0.0.1]",
	} {
		for _, scheme := range []string{"http", "https"} {
			url := scheme + "://" + host + port + "/"
			if err := c.CheckURL(url); err == nil {
				t.Errorf("CheckURL took %q", url)
			}
			if res := c.Do(t.Context(), post(url, long)); res.Class != egress.ClassBlocked && res.Class != egress.ClassRequest && res.Class != egress.ClassDNS {
				t.Errorf("%q: class %q", url, res.Class)
			}
		}
	}
	if s.Conns() != 0 {
		t.Errorf("%d connections were made", s.Conns())
	}
}

// case 82: one denied answer among good ones denies the name; a name that
// turns between attempts is found out; names are looked up as fully
// qualified.
func TestNames(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{Close: true}))
	good := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	mixed := append([]netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, netip.MustParseAddr("10.0.0.1"))
	var many []netip.Addr
	for i := range 512 {
		many = append(many, netip.AddrFrom4([4]byte{127, 0, byte(2 + i/256), byte(i)}))
	}
	var next []netip.Addr
	var asked string
	var fail error
	c := newClient(t, egress.Config{Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		asked = host
		return next, fail
	}})
	url := fmt.Sprintf("http://Hooks.Example.COM.:%d/", s.Addr().Port())
	do := func() *egress.Result { return c.Do(t.Context(), post(url, long)) }

	next = good
	wantClass(t, do(), "")
	if asked != "hooks.example.com." {
		t.Errorf("looked up %q", asked)
	}
	next = mixed
	wantBlocked(t, do(), "mixed answers")
	next = []netip.Addr{netip.MustParseAddr("169.254.169.254")}
	wantBlocked(t, do(), "rebound to metadata")
	next = good
	wantClass(t, do(), "")
	next = nil
	wantClass(t, do(), egress.ClassDNS)
	next = many
	wantClass(t, do(), egress.ClassRefused)
	for _, fail = range []error{&net.DNSError{Err: "no such host", IsNotFound: true}, &net.DNSError{Err: "server misbehaving", IsTemporary: true}, &net.DNSError{Err: "i/o timeout", IsTimeout: true}, errors.New("anything")} {
		wantClass(t, do(), egress.ClassDNS)
	}
	if n := len(s.Requests()); n != 2 {
		t.Errorf("%d requests arrived, want 2", n)
	}
}

// A name server that does not answer costs the connect limit or the deadline.
func TestSlowNames(t *testing.T) {
	t.Parallel()
	lookup := func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	wantClass(t, newClient(t, egress.Config{Lookup: lookup, ConnectTimeout: short}).Do(t.Context(), post("http://a.example", long)), egress.ClassDNS)
	wantClass(t, newClient(t, egress.Config{Lookup: lookup}).Do(t.Context(), post("http://a.example", short)), egress.ClassDNS)
}

// The second of a name's addresses is tried when the first refuses.
func TestSecondAddress(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{}))
	c := newClient(t, egress.Config{Lookup: answers("127.0.0.2", "127.0.0.1")})
	res := c.Do(t.Context(), post(fmt.Sprintf("http://a.example:%d", s.Addr().Port()), long))
	wantClass(t, res, "")
	if res.RemoteAddr != s.Addr().String() {
		t.Errorf("answered by %s", res.RemoteAddr)
	}
}

// case 83
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	secret := listen(t, hostile.Always(hostile.Reply{}))
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := listen(t, hostile.Redirect(status, secret.URL("/")))
		res := newClient(t, egress.Config{}).Do(t.Context(), post(s.URL("/"), long))
		if res.Status != status || res.Header.Get("Location") != secret.URL("/") {
			t.Errorf("status %d to %q", res.Status, res.Header.Get("Location"))
		}
	}
	if secret.Conns() != 0 {
		t.Error("a redirect was followed")
	}
}

// What the operator denies stays closed, public, opened or inside another form.
func TestDeniedRanges(t *testing.T) {
	t.Parallel()
	c := newClient(t, egress.Config{
		Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("64:ff9b::/96")},
		Deny:  []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16"), netip.MustParsePrefix("8.8.8.0/24"), netip.MustParsePrefix("2a00:1450:64::/96")},
	})
	for url, ok := range map[string]bool{
		"http://10.8.0.1": true, "http://10.9.0.1": false, "http://8.8.4.4": true, "http://8.8.8.8": false, "http://[64:ff9b::808:404]": true,
		"http://[64:ff9b::808:808]": false, "http://[64:ff9b::a09:1]": false, "http://[2a00:1450:64::808:404]": false, "http://[2a00:1450:65::1]": true,
	} {
		if err := c.CheckURL(url); (err == nil) != ok {
			t.Errorf("%s: %v, want ok = %v", url, err, ok)
		}
	}
	if _, err := egress.New(egress.Config{Deny: []netip.Prefix{{}}}); err == nil {
		t.Error("no range was denied")
	}
}

// cases 85, 87: ranges are opened with all their ports, metadata never, our
// own listeners only by exemption.
func TestAllowedRanges(t *testing.T) {
	t.Parallel()
	addrPorts := func(list ...string) func() []netip.AddrPort {
		var all []netip.AddrPort
		for _, s := range list {
			all = append(all, netip.MustParseAddrPort(s))
		}
		return func() []netip.AddrPort { return all }
	}
	c := newClient(t, egress.Config{
		Allow: []netip.Prefix{
			netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
			netip.MustParsePrefix("168.63.0.0/16"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("::/96"),
		},
		Exempt: addrPorts("127.0.0.1:8080", "169.254.169.254:80"),
		Self:   addrPorts("127.0.0.1:8080", "127.0.0.1:9090", "10.1.0.1:443", "[::]:7777"),
	})
	want := map[string]bool{
		"http://10.1.2.3": true, "http://10.1.2.3:22": true, "http://10.1.2.3:5432": true, "http://10.2.0.1": false,
		"http://169.254.1.1": true, "http://169.254.169.254": false, "http://169.254.170.2": false, "http://100.64.0.1": true, "http://100.100.100.200": false,
		"http://192.0.0.1": true, "http://192.0.0.192": false, "http://168.63.129.16": false, "http://168.63.129.17:22": true,
		"http://[fd12::1]:25": true, "http://[fd00:ec2::254]": false, "http://[fd20:ce::254]": false, "http://[fd12::5efe:a9fe:a9fe]": false,
		"http://[64:ff9b::808:808]": true, "http://[64:ff9b::7f00:1]": false, "http://[64:ff9b::a01:203]": true, "http://[64:ff9b::a9fe:a9fe]": false,
		"http://127.0.0.1:8080": true, "http://127.0.0.1:8081": false, "http://127.0.0.1:9090": false, "http://127.0.0.2:8080": false,
		"http://10.1.0.1": true, "https://10.1.0.1": false, "http://10.1.0.1:7777": true,
		"http://8.8.8.8": true, "http://8.8.8.8:8443": true, "http://8.8.8.8:22": false, "http://8.8.8.8:25": false, "http://8.8.8.8:53": false,
		"http://8.8.8.8:5432": false, "http://8.8.8.8:6379": false, "http://8.8.8.8:11211": false, "http://a.example:22": true,
		"http://localhost:8080": true, "http://localhost:8081": false,
	}
	for url, ok := range want {
		if err := c.CheckURL(url); (err == nil) != ok {
			t.Errorf("%s: %v, want ok = %v", url, err, ok)
		}
	}
	translated := newClient(t, egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("10.1.0.0/16")}})
	for url, ok := range map[string]bool{
		"http://[64:ff9b:1::808:808]": true, "http://[64:ff9b:1::a01:203]": true, "http://[64:ff9b:1::7f00:1]": false, "http://[64:ff9b:1::a9fe:a9fe]": false,
		"http://[64:ff9b:1:7f00:0:100:808:808]": false, "http://[64:ff9b:1:7f:0:1:808:808]": false, "http://[64:ff9b:1:0:7f:0:108:808]": false,
		"http://[64:ff9b:1:a9fe:a9:fe00:808:808]": false, "http://[64:ff9b:1:0:a:102:308:808]": true,
	} {
		if err := translated.CheckURL(url); (err == nil) != ok {
			t.Errorf("%s: %v, want ok = %v", url, err, ok)
		}
	}
	closed := newClient(t, egress.Config{Allow: closed})
	if closed.CheckURL("http://a.example:22") == nil {
		t.Error("port 22 is open")
	}
	if err := newClient(t, egress.Config{Allow: []netip.Prefix{}, DenyPorts: []uint16{8443}}).CheckURL("http://8.8.8.8:22"); err != nil {
		t.Error(err)
	}
	if _, err := egress.New(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}); err == nil {
		t.Error("a mapped range was allowed")
	}
}

// case 87: a listener on all addresses is ours under every address.
func TestOwnListeners(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{}))
	any := netip.AddrPortFrom(netip.IPv6Unspecified(), s.Addr().Port())
	self := func() []netip.AddrPort { return []netip.AddrPort{any} }
	wantBlocked(t, newClient(t, egress.Config{Self: self}).Do(t.Context(), post(s.URL("/"), long)), "our own listener")
	exempt := func() []netip.AddrPort { return []netip.AddrPort{s.Addr()} }
	res := newClient(t, egress.Config{Allow: closed, Self: self, Exempt: exempt}).Do(t.Context(), post(s.URL("/"), long))
	wantClass(t, res, "")
	if len(s.Requests()) != 1 {
		t.Errorf("%d requests", len(s.Requests()))
	}
}

// case 89: what is denied looks the same whether something listens there or
// not, and whichever rule denies it.
func TestBlockedLooksAlike(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{}))
	c := newClient(t, egress.Config{Allow: closed, Lookup: answers("192.168.1.1")})
	var first *egress.Result
	for _, url := range []string{s.URL("/"), "http://127.0.0.1:1/", "http://169.254.169.254/", "http://8.8.8.8:22/", "http://a.example/", "https://[::1]/", "https://10.0.0.1/"} {
		res := c.Do(t.Context(), post(url, long))
		res.At, res.Timing = time.Time{}, hook.Timing{}
		if first == nil {
			first = res
		}
		if d := cmp.Diff(first, res); d != "" {
			t.Errorf("%s: %s", url, d)
		}
	}
}

// case 87: the loopback network and the unspecified address lead to our own
// listeners as well, also when an operator has opened loopback.
func TestOwnListenersUnderOtherNames(t *testing.T) {
	t.Parallel()
	self := func() []netip.AddrPort {
		return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9090"), netip.MustParseAddrPort("[::]:7777")}
	}
	c := newClient(t, egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, Self: self})
	for url, ok := range map[string]bool{
		"http://127.0.0.1:9090": false, "http://0.0.0.0:9090": false, "http://127.0.0.2:9090": true,
		"http://127.0.0.9:7777": false, "http://0.0.0.0:7777": false, "http://[::1]:7777": false, "http://[::]:7777": false,
	} {
		if err := c.CheckURL(url); (err == nil) != ok {
			t.Errorf("%s: %v, want ok = %v", url, err, ok)
		}
	}
}

// localhost needs no resolver, and is as closed or open as 127.0.0.1.
func TestLocalhost(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	lookup := func(context.Context, string) ([]netip.Addr, error) {
		asked.Add(1)
		return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
	}
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	url := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	open := newClient(t, egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Lookup: lookup})
	if r := open.Do(t.Context(), post(url, long)); r.Status != http.StatusOK {
		t.Errorf("opened: %d %s %s", r.Status, r.Class, r.Detail)
	}
	wantBlocked(t, newClient(t, egress.Config{Allow: closed, Lookup: lookup}).Do(t.Context(), post(url, long)), "localhost")
	if asked.Load() > 0 {
		t.Error("a resolver was asked")
	}
}
