package egress

import (
	"net/netip"
	"net/url"
	"testing"
	"time"
)

// The second wall by itself (case 80): whatever led to an address, the socket
// does not connect to it.
func TestControl(t *testing.T) {
	t.Parallel()
	c, err := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for address, ok := range map[string]bool{
		"8.8.8.8:443": true, "10.0.0.1:22": true, "[2606:4700::1111]:443": true,
		"127.0.0.1:80": false, "[::1]:80": false, "169.254.169.254:80": false, "168.63.129.16:80": false, "[::ffff:8.8.8.8]:80": false, "[fe80::1%eth0]:80": false,
		"8.8.8.8:22": false, "8.8.8.8:0": false, "[2600::5efe:808:808]:443": false, "": false, "example.com:80": false, "/run/docker.sock": false,
	} {
		network := "tcp4"
		if address != "" && address[0] == '[' {
			network = "tcp6"
		}
		if err := c.control(t.Context(), network, address, nil); (err == nil) != ok {
			t.Errorf("%s: %v, want ok = %v", address, err, ok)
		}
	}
	for _, network := range []string{"udp4", "unix", "tcp", "ip4:icmp"} {
		if c.control(t.Context(), network, "8.8.8.8:443", nil) == nil {
			t.Errorf("network %s is open", network)
		}
	}
}

// Even a dial that skips the first wall ends at the second.
func TestConnectIsGuarded(t *testing.T) {
	t.Parallel()
	for _, proxy := range []*url.URL{nil, {Scheme: "http", Host: "127.0.0.1:1"}} {
		c, err := New(Config{Proxy: proxy})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := c.limit(t.Context(), time.Now().Add(time.Minute), c.cfg.ConnectTimeout)
		defer cancel()
		nc, _, _, f := c.connect(ctx, []netip.Addr{netip.MustParseAddr("127.0.0.1")}, 80)
		if nc != nil || f == nil || f.class != ClassBlocked || f.detail != blockedDetail || f.remote != "" {
			t.Errorf("proxy %v: %v, %+v", proxy, nc, f)
		}
	}
}
