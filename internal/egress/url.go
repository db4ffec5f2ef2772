package egress

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"grapnel/internal/hook"

	"golang.org/x/net/idna"
)

// MaxURL is the longest URL that an endpoint may have, in bytes (case 74).
const MaxURL = 2048

// target is a URL taken apart for dialling.
type target struct {
	url   *url.URL // canonical: ASCII only, host in lower case without a trailing dot
	https bool
	path  string     // with the query, as the request line has it
	host  string     // a DNS name, or addr in its usual form
	addr  netip.Addr // set if the host is a literal address
	port  uint16
	peer  string // host:port, whatever port the URL gives
}

// CheckURL says whether an endpoint may have this URL; the error is a
// *hook.Error with CodeInvalid about the field "/url" (cases 74, 76, 77). It
// asks no DNS: a literal address that would be blocked is refused as a hint
// to whoever types it, and what a name resolves to is checked when it is
// dialled.
func (c *Client) CheckURL(raw string) error {
	t, problem := parseTarget(raw)
	if problem != nil {
		return problem
	}
	v := permitted
	switch {
	case t.addr.IsValid():
		v = c.guard.check(netip.AddrPortFrom(t.addr, t.port))
	case t.host == "localhost" || strings.HasSuffix(t.host, ".localhost"):
		v = c.guard.check(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), t.port))
	case len(c.guard.allow) == 0 && c.guard.portDenied(t.port):
		v = deniedPort // with an allowed range it depends on where the name leads
	}
	switch v {
	case reserved:
		return badURL("the address %s is in a private or reserved range, and requests to it are blocked; the server's operator can open a range with --egress-allow CIDR", t.host)
	case metadata:
		return badURL("the address %s belongs to a cloud's metadata service, and requests to it are always blocked", t.host)
	case ownAddress:
		return badURL("the address %s with port %d is this server's own", t.host, t.port)
	case deniedPort:
		return badURL("port %d belongs to another protocol than HTTP, and requests to it are blocked; the server's operator can open a private range with all its ports with --egress-allow CIDR", t.port)
	}
	return nil
}

func badURL(format string, args ...any) *hook.Error { return hook.Invalid("/url", format, args...) }

// parseTarget checks the form of a URL and makes its canonical form.
func parseTarget(raw string) (*target, *hook.Error) {
	if err := checkCharacters(raw); err != nil {
		return nil, err
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "http" && scheme != "https" {
		return nil, badURL("the URL must begin with https:// or http://")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	t := &target{port: 80}
	if scheme == "https" {
		t.port = 443
	}
	port, err := t.parseAuthority(authority)
	if err != nil {
		return nil, err
	}
	host := t.host
	if t.addr.Is6() {
		host = "[" + host + "]"
	}
	path, err = encodePath(path)
	if err != nil {
		return nil, err
	}
	u, perr := url.Parse(scheme + "://" + host + port + path)
	if perr != nil || u.Host != host+port {
		return nil, badURL("the URL cannot be read")
	}
	t.url, t.https, t.path = u, scheme == "https", u.RequestURI()
	t.peer = net.JoinHostPort(t.host, strconv.Itoa(int(t.port)))
	return t, nil
}

// checkCharacters refuses what no URL holds, so that nothing depends on how a
// parser treats it.
func checkCharacters(raw string) *hook.Error {
	if len(raw) > MaxURL {
		return badURL("the URL has %d bytes; %d are allowed", len(raw), MaxURL)
	}
	if !utf8.ValidString(raw) {
		return badURL("the URL is not valid UTF-8")
	}
	for i, r := range raw {
		switch {
		case r == '\\':
			return badURL("the URL holds a backslash at byte %d", i)
		case r == '#':
			return badURL("the URL has a fragment (#…), which is never sent")
		case r < 0x80 && r > ' ' && r != 0x7f:
		case unicode.IsSpace(r), unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Z):
			return badURL("the URL holds a space or control character (%U) at byte %d", r, i)
		}
	}
	return nil
}

// parseAuthority sets host, addr and port, and returns the port as it stands
// in the canonical form: "" or ":8080".
func (t *target) parseAuthority(authority string) (string, *hook.Error) {
	switch {
	case strings.Contains(authority, "@"):
		return "", badURL("the URL holds a user name or password; send credentials in a header of the endpoint instead")
	case strings.Contains(authority, "%"):
		return "", badURL("the host of the URL holds a %%: zone ids and percent-encoding are not allowed there")
	}
	host, port, hasPort := authority, "", false
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port, hasPort = authority[:i], authority[i+1:], true
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", badURL("%q is not a port: want 1 to 65535", port)
		}
		t.port = uint16(n)
		port = ":" + strconv.FormatUint(n, 10)
	}
	if strings.HasPrefix(host, "[") {
		addr, err := netip.ParseAddr(strings.TrimSuffix(host[1:], "]"))
		if err != nil || !addr.Is6() || !strings.HasSuffix(host, "]") {
			return "", badURL("%q is not an IPv6 address in brackets", host)
		}
		t.addr, t.host = addr, addr.String()
		return port, nil
	}
	return port, t.parseHost(host)
}

func (t *target) parseHost(host string) *hook.Error {
	name, err := asciiHost(host)
	if err != nil {
		return err
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return badURL("the URL has no host")
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.Is4() {
		t.addr, t.host = addr, addr.String()
		return nil
	}
	if len(name) > 253 {
		return badURL("the host of the URL has %d characters; 253 are allowed", len(name))
	}
	label := ""
	for label = range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return badURL("the host %q is not a valid name", host)
		}
	}
	// The other ways to write an IPv4 address: octal, hexadecimal, one number.
	// Some resolvers understand them, so they never reach one (case 81).
	if label[0] >= '0' && label[0] <= '9' && (strings.Trim(label, "0123456789") == "" || strings.HasPrefix(label, "0x")) {
		return badURL("the host %q ends in a number but is not an IPv4 address of four decimal numbers", host)
	}
	t.host = name
	return nil
}

// asciiHost maps a host to lower-case ASCII by the rules for looking a name
// up (case 77).
func asciiHost(host string) (string, *hook.Error) {
	lower := strings.ToLower(host)
	ascii := strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) < 0
	if ascii && !strings.Contains(lower, "xn--") {
		return lower, nil
	}
	mapped, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", badURL("the host %q is not a valid international name", host)
	}
	return mapped, nil
}

const hexDigits = "0123456789ABCDEF"

// encodePath percent-encodes what may not stand in a path and query, and
// leaves everything else as it is: an endpoint gets the path that its owner
// gave.
func encodePath(path string) (string, *hook.Error) {
	var b strings.Builder
	query := false
	for i := range len(path) {
		c := path[i]
		query = query || c == '?'
		switch {
		case c == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])):
			return "", badURL("the URL holds a %% that no two hexadecimal digits follow")
		case c >= 0x80 || strings.IndexByte(`"<>`, c) >= 0 || !query && strings.IndexByte("^`{|}", c) >= 0:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
