package egress_test

import (
	"crypto/tls"
	"strings"
	"time"

	"grapnel/internal/hostile"
)

// way is how a specimen of the zoo is spoken to.
type way int

const (
	plain  way = 1 << iota
	secure     // HTTP/1.1 over TLS
	newer      // HTTP/2
	broken     // a URL of https where no TLS handshake is done by the rules
	both   = plain | secure
)

var ways = map[way]string{plain: "http", secure: "https", newer: "HTTP/2", broken: "TLS"}

// specimen is one named behaviour of an endpoint.
type specimen struct {
	name   string
	ways   way
	hangs  bool // nothing but the deadline ends it
	body   int  // bytes of the request; 0: a few
	behave hostile.Behaviour
	config func(*hostile.Authority) (*tls.Config, error) // nil: a good one
	class  string                                        // that the attempt must end with: names in a list, "ok" for an answer
}

const tick = 2 * time.Millisecond

// specimens are all the behaviours, each named once.
func specimens() []specimen {
	all := append(http1Specimens(), tlsSpecimens()...)
	for _, f := range hostile.Framings() {
		class := "protocol reset"
		if !f.Fatal {
			class += " ok"
		}
		all = append(all, specimen{name: "framing: " + f.Name, ways: both, behave: hostile.Raw(f.Answer), class: class})
	}
	for _, h := range hostile.HTTP2Habits() {
		s := specimen{name: h.Name, ways: newer, hangs: h.Hangs, behave: h.Behave, class: "protocol reset ok"}
		if strings.Contains(h.Name, "window of 0") {
			s.body = 1 << 20
		}
		if h.Hangs {
			s.class = "timeout_header timeout_body timeout_write reset" // reset: of a connection that others were on
			if strings.HasSuffix(h.Name, "flood of 103") || strings.HasSuffix(h.Name, "endless body") {
				s.class += " protocol ok" // for the one that is flooded, while others on the connection wait
			}
		}
		all = append(all, s)
	}
	for _, h := range hostile.HandshakeHabits() {
		s := specimen{name: h.Name, ways: broken, hangs: h.Hangs, behave: h.Behave, class: "tls reset connect"} // connect: it may reset before we see that it took us
		if h.Hangs {
			s.class = "timeout_tls"
		}
		all = append(all, s)
	}
	return all
}

func http1Specimens() []specimen {
	ok := func(body string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + body }
	late := strings.Repeat("X-Trailer: y\r\n", 20_000)
	return []specimen{
		{name: "endless body", ways: both, behave: hostile.EndlessBody(), class: "ok"},
		{name: "body a byte at a time after 200", ways: both, hangs: true, behave: hostile.DripBody(200, tick), class: "ok"},
		{name: "body a byte at a time after 500", ways: both, hangs: true, behave: hostile.DripBody(500, tick), class: "timeout_body"},
		{name: "never reads, never answers", ways: both, hangs: true, behave: hostile.NeverAnswer(), class: "timeout_header"},
		{name: "silent after the request", ways: both, hangs: true, behave: hostile.Silent(), class: "timeout_header"},
		{name: "header a byte at a time", ways: both, hangs: true, behave: hostile.DripHeader(tick), class: "timeout_header"},
		{name: "endless headers", ways: both, behave: hostile.EndlessHeaders(), class: "protocol"},
		{name: "flood of 100", ways: both, behave: hostile.Informational(100), class: "protocol"},
		{name: "flood of 102", ways: both, behave: hostile.Informational(102), class: "protocol"},
		{name: "flood of 103", ways: both, behave: hostile.Informational(103), class: "protocol"},
		{name: "101", ways: both, behave: hostile.SwitchProtocols(false), class: "protocol"},
		{name: "101 with upgrade", ways: both, behave: hostile.SwitchProtocols(true), class: "protocol"},
		{name: "gzip bomb", ways: both, behave: hostile.CompressionBomb("gzip", 20), class: "ok"},
		{name: "bomb of nested encodings", ways: both, behave: hostile.CompressionBomb("gzip, br, zstd", 100), class: "ok"},
		{name: "redirect to a metadata service", ways: both, behave: hostile.Redirect(302, "http://169.254.169.254/"), class: "ok"},
		{name: "redirect without location", ways: both, behave: hostile.Redirect(307, ""), class: "ok"},
		{name: "redirect to itself", ways: both, behave: hostile.Redirect(308, "/"), class: "ok"},
		{name: "410", ways: both, behave: hostile.Gone(), class: "ok"},
		{name: "Retry-After of 4,000 digits", ways: both, behave: hostile.RetryAfter(503, strings.Repeat("9", 4000)), class: "ok"},
		{name: "one header of 1 MiB", ways: both, behave: hostile.HugeHeader(1 << 20), class: "protocol"},
		{name: "10,000 headers", ways: both, behave: hostile.ManyHeaders(10_000), class: "protocol"},
		{name: "nearly as many headers as may be", ways: both, behave: hostile.ManyHeaders(990), class: "ok"},
		{name: "NUL and no UTF-8", ways: both, behave: hostile.BinaryAnswer(), class: "ok"},
		{name: "junk after the answer", ways: both, behave: hostile.Junk("junk"), class: "ok"},
		{name: "an answer too many", ways: both, behave: hostile.Junk(""), class: "ok"},
		{name: "a hundred answers too many", ways: both, behave: hostile.RawOpen(strings.Repeat(ok(""), 100)), class: "ok"},
		{name: "reset before the answer", ways: both, behave: hostile.ResetAt(0), class: "reset"},
		{name: "reset in the header", ways: both, behave: hostile.ResetAt(20), class: "protocol reset"},
		{name: "reset in the body", ways: both, behave: hostile.ResetAt(hostile.ResetAnswerLen() - 1), class: "ok"},
		{name: "reset in the request", ways: both, body: 1 << 20, behave: hostile.ResetInRequest(10), class: "reset"},
		{name: "closes a connection that it kept", ways: both, behave: hostile.CloseReused(), class: "ok reset"},
		{name: "resets a connection that it kept", ways: both, behave: hostile.ResetReused(0), class: "ok reset"},
		{name: "body shorter than said", ways: both, behave: hostile.Raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), class: "ok"},
		{name: "body over the limit by one", ways: both, behave: hostile.Always(hostile.Reply{Body: strings.Repeat("x", bodyLimit+1)}), class: "ok"},
		{name: "body of 2^62 bytes said", ways: both, hangs: true, behave: hostile.RawOpen("HTTP/1.1 200 OK\r\nContent-Length: 4611686018427387904\r\n\r\nx"), class: "ok"},
		{name: "reads a byte at a time", ways: both, hangs: true, body: 8 << 20, behave: hostile.SlowReader(tick), class: "timeout_write"},
		{name: "answers early and reads no more", ways: both, body: 8 << 20, behave: hostile.AnswerEarly(10, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", true), class: "ok"},
		{name: "answers early and closes", ways: both, body: 1 << 20, behave: hostile.AnswerEarly(10, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", false), class: "ok reset"},
		{name: "says close and stays", ways: both, behave: hostile.RawOpen("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"), class: "ok"},
		{name: "says keep-alive and goes", ways: both, behave: hostile.Raw("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"), class: "ok reset"},
		{name: "chunks of a byte", ways: both, behave: hostile.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 70_000)), class: "ok"},
		{name: "endless chunk extension", ways: both, behave: hostile.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("x", 1<<20)), class: "protocol"},
		{name: "endless trailers", ways: both, behave: hostile.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + late), class: "ok protocol"},
		{name: "trailers that overrule the framing", ways: both, behave: hostile.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"), class: "ok protocol"},
		{name: "chunked twice", ways: both, behave: hostile.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), class: "protocol"},
		{name: "reason of 1 MiB", ways: both, behave: hostile.Raw("HTTP/1.1 200 " + strings.Repeat("x", 1<<20) + "\r\n\r\n"), class: "protocol"},
		{name: "body of a 204", ways: both, behave: hostile.Raw("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nabcde"), class: "ok protocol"},
	}
}

func tlsSpecimens() []specimen {
	bad := func(name string, change func(*hostile.Authority, time.Time) (*tls.Config, error)) specimen {
		return specimen{name: "TLS: " + name, ways: secure, behave: hostile.Always(hostile.Reply{}), class: "tls reset",
			config: func(ca *hostile.Authority) (*tls.Config, error) { return change(ca, time.Now()) }}
	}
	good := func(change func(*tls.Config)) func(*hostile.Authority, time.Time) (*tls.Config, error) {
		return func(ca *hostile.Authority, now time.Time) (*tls.Config, error) {
			cfg, err := ca.Config("127.0.0.1", now.Add(time.Hour), false)
			if err == nil {
				change(cfg)
			}
			return cfg, err
		}
	}
	huge := bad("chain of 64 KiB", good(func(c *tls.Config) {
		cert := &c.Certificates[0]
		for range 120 {
			cert.Certificate = append(cert.Certificate, cert.Certificate[0])
		}
	}))
	huge.class = "ok tls"
	return []specimen{
		huge,
		bad("expired", func(ca *hostile.Authority, now time.Time) (*tls.Config, error) {
			return ca.Config("127.0.0.1", now.Add(-time.Hour), false)
		}),
		bad("wrong name", func(ca *hostile.Authority, now time.Time) (*tls.Config, error) {
			return ca.Config("example.com", now.Add(time.Hour), false)
		}),
		bad("self-signed", func(_ *hostile.Authority, now time.Time) (*tls.Config, error) {
			return hostile.SelfSigned("127.0.0.1", now)
		}),
		bad("unknown authority", func(_ *hostile.Authority, now time.Time) (*tls.Config, error) {
			other, err := hostile.NewAuthority(now)
			if err != nil {
				return nil, err
			}
			return other.Config("127.0.0.1", now.Add(time.Hour), false)
		}),
		bad("1.0", good(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 })),
		bad("1.1", good(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })),
		bad("wants a certificate of ours", good(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })),
		bad("another protocol only", good(func(c *tls.Config) { c.NextProtos = []string{"imap"} })),
	}
}
