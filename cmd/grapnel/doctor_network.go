package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"grapnel/internal/egress"
)

// How far clocks may be apart. Receivers refuse timestamps that are five
// minutes off.
const (
	skewWarning = 10 * time.Second
	skewFailure = 2 * time.Minute
)

// checkPublicName resolves the name that others reach this server under.
func (d *doctor) checkPublicName() {
	u, err := url.Parse(d.settings.PublicURL)
	if d.settings.PublicURL == "" || err != nil || u.Hostname() == "" {
		d.add("public name", checkSkipped, "", "there is no --public-url to resolve")
		return
	}
	addrs, err := d.resolve(u.Hostname())
	switch {
	case err == nil:
		d.add("public name", checkOK, "", "%s is %s", u.Hostname(), strings.Join(addrs, ", "))
	case d.offline():
		d.add("public name", checkSkipped, "", "this machine has no network")
	default:
		d.add("public name", checkWarning, "make the name known in DNS, or correct --public-url", "%s cannot be resolved here: %s", u.Hostname(), lookupText(err))
	}
}

// checkLookup resolves any name, as deliveries do.
func (d *doctor) checkLookup() {
	addrs, err := d.resolve(d.lookup)
	switch {
	case err == nil:
		d.add("dns", checkOK, "", "%s is %s", d.lookup, strings.Join(addrs, ", "))
	case d.offline():
		d.add("dns", checkSkipped, "", "this machine has no network")
	default:
		d.add("dns", checkWarning, "look at /etc/resolv.conf; deliveries to names that are not resolved wait for their next attempt", "%s cannot be resolved: %s", d.lookup, lookupText(err))
	}
}

func (d *doctor) resolve(name string) ([]string, error) {
	ctx, cancel := d.bounded()
	defer cancel()
	return net.DefaultResolver.LookupHost(ctx, name)
}

func lookupText(err error) string {
	var e *net.DNSError
	switch {
	case errors.As(err, &e) && e.IsNotFound:
		return "no such name"
	case errors.As(err, &e) && e.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return "no name server answered in time"
	case errors.As(err, &e):
		return e.Err
	}
	return err.Error()
}

// offline reports whether this machine has no address but its own.
func (d *doctor) offline() bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return false
		}
	}
	return true
}

// checkClock compares this clock with the server's and with what the public
// URL's front says.
func (d *doctor) checkClock() {
	server := d.url
	if server == "" {
		server = "http://" + reachable(d.settings.Listen)
	}
	asked := 0
	for _, base := range []string{server, d.settings.PublicURL} {
		if base == "" {
			continue
		}
		skew, err := d.skew(base + "/livez")
		if err != nil {
			continue
		}
		asked++
		const hint = "let both machines keep time with NTP: receivers refuse requests whose timestamp is five minutes off"
		switch text := fmt.Sprintf("%s says a time that is %s from this machine's", base, span(skew.Abs())); {
		case skew.Abs() > skewFailure:
			d.add("clock", checkFailed, hint, "%s", text)
		case skew.Abs() > skewWarning:
			d.add("clock", checkWarning, hint, "%s", text)
		default:
			d.add("clock", checkOK, "", "%s and this machine agree to %s", base, span(max(skew.Abs(), time.Second)))
		}
	}
	if asked == 0 {
		d.add("clock", checkSkipped, "", "neither a server at %s nor the public URL answers", server)
	}
}

// skew is by how much another machine's clock is ahead. It is known to a
// second, as Date has it, and half of the time that the answer took.
func (d *doctor) skew(url string) (time.Duration, error) {
	ctx, cancel := d.bounded()
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	res, err := ownClient().Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	took := time.Since(begin)
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return 0, err
	}
	skew := date.Add(500 * time.Millisecond).Sub(begin.Add(took / 2))
	if skew.Abs() <= time.Second+took/2 {
		skew = 0
	}
	return skew, nil
}

// checkWayOut asks a running server whether it takes its own way out for broken,
// as it does while no endpoint can be reached.
func (d *doctor) checkWayOut() {
	server, state := d.wayOut()
	result, detail, _ := strings.Cut(state, ": ")
	switch {
	case server == "":
		d.add("way out", checkSkipped, "", "no server answers that would know")
	case state == "":
		d.add("way out", checkSkipped, "name its admin listener with --url", "%s does not tell", server)
	case result == "ok":
		d.add("way out", checkOK, "", "%s says: %s", server, plain(detail))
	default:
		d.add("way out", checkFailed, "look at this machine's routes, firewall and name servers, and at --egress-proxy; deliveries go on by themselves",
			"%s says: %s", server, plain(detail))
	}
}

// wayOut is what a server tells of its own network, "" if it does not, and where
// it was asked; "" if none answers.
func (d *doctor) wayOut() (server, state string) {
	servers := []string{d.url}
	if d.url == "" {
		servers = servers[:0]
		for _, addr := range slices.Backward(d.listeners()) { // the admin listener tells, where there is one
			servers = append(servers, "http://"+reachable(addr), "https://"+reachable(addr))
		}
	}
	for _, base := range servers {
		out := healthShape{URL: base + "/readyz?verbose"}
		if err := (&healthCmd{Timeout: d.timeout}).ask(&out, true); err != nil || !strings.Contains(out.Detail, "ready") {
			continue
		}
		server = cmp.Or(server, base)
		for line := range strings.SplitSeq(out.Detail, "; ") {
			if state, ok := strings.CutPrefix(line, "network "); ok {
				return base, state
			}
		}
	}
	return server, ""
}

// ownClient asks a server that is ours: its certificate is not looked at, for
// nothing secret is sent and nothing of the answer is trusted.
func ownClient() *http.Client {
	return &http.Client{Transport: insecureTransport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answersAsServer reports whether a Grapnel answers there.
func answersAsServer(timeout time.Duration, base string) bool {
	out := healthShape{URL: base + "/livez"}
	return (&healthCmd{Timeout: timeout}).ask(&out, true) == nil && out.Healthy && out.Detail == "ok"
}

// forbidden are addresses that no delivery may reach unless the operator opens
// their range; the last ones not even then.
var forbidden = []string{
	"http://127.0.0.1/", "http://[::1]/", "http://localhost/", "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/", "http://100.64.0.1/",
	"http://0.0.0.0/", "http://[fd00::1]/", "http://[fe80::1]/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://2130706433/",
	"http://169.254.169.254/", "http://[fd00:ec2::254]/",
}

// checkGuard asks the deliveries' own client for forbidden addresses, and for
// a listener on this machine.
func (d *doctor) checkGuard() {
	client, err := egress.New(egress.Config{Allow: d.settings.EgressPrefixes(), Deny: d.settings.DeniedPrefixes()})
	if err != nil {
		d.add("egress guard", checkFailed, "correct --egress-allow and --egress-deny", "it cannot be made: %s", err)
		return
	}
	defer client.Close()
	var open []string
	for _, raw := range forbidden {
		if client.CheckURL(raw) == nil && !d.opened(raw) {
			open = append(open, raw)
		}
	}
	reached, err := d.deliver(client)
	switch {
	case len(open) > 0:
		d.add("egress guard", checkFailed, "do not run this build: report it", "it lets pass %s", strings.Join(open, ", "))
	case err != nil:
		d.add("egress guard", checkSkipped, "", "%d forbidden addresses are refused; connecting could not be tried: %s", len(forbidden), err)
	case reached:
		d.add("egress guard", checkFailed, "do not run this build: report it", "a delivery reached a listener of this machine")
	case len(d.settings.EgressAllow) > 0:
		d.add("egress guard", checkWarning, "keep what is opened as narrow as can be", "forbidden addresses are refused, but for what --egress-allow opens: %s", strings.Join(d.settings.EgressAllow, ", "))
	default:
		d.add("egress guard", checkOK, "", "%d forbidden addresses and a listener of this machine are refused", len(forbidden))
	}
}

// opened reports whether the operator opened the range of an address.
func (d *doctor) opened(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1}) // localhost, and an address as one number
	}
	for _, p := range d.settings.EgressPrefixes() {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// deliver sends a request to a listener of its own, and says whether it came.
func (d *doctor) deliver(client *egress.Client) (reached bool, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return false, err
	}
	defer l.Close()
	target := "http://" + l.Addr().String() + "/"
	if d.opened(target) {
		return false, nil
	}
	ctx, cancel := d.bounded()
	defer cancel()
	result := client.Do(ctx, &egress.Request{Method: http.MethodPost, URL: target, Body: []byte("{}"), Timeout: d.timeout})
	return result.Class != egress.ClassBlocked, nil
}
