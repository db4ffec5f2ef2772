package serve_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/serve"
)

// smuggled is what an attacker wants to be taken for another caller's request.
const smuggled = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"

// raw is a connection that a test writes bytes to.
type raw struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dialRaw(t *testing.T, s *serve.Server) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &raw{t, conn, bufio.NewReader(conn)}
}

func (r *raw) write(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.conn, text); err != nil {
		r.t.Fatal(err)
	}
}

// answer reads the next answer; ok is false where the connection has ended.
func (r *raw) answer() (status int, body string, ok bool) {
	r.t.Helper()
	if _, err := r.in.Peek(1); err != nil {
		return 0, "", false
	}
	res, err := http.ReadResponse(r.in, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b), true
}

// chunked is a body in one chunk, and the end of it.
func chunked(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }

// case 71: a request whose end could be seen in two places is refused, and its connection
// with it: what comes behind is nobody's request. What has one meaning is answered once.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	s, c := start(t, serve.Config{Settings: settings(t, t.TempDir())})
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	const event = `{"type":"a","data":1}`
	length := "Content-Length: " + strconv.Itoa(len(event)) + "\r\n"
	head := func(version string, lines ...string) string {
		return "POST /v1/tenants/acme/events HTTP/" + version + "\r\nAuthorization: Bearer " + string(s.AdminKey()) + "\r\n" + strings.Join(lines, "") + "\r\n"
	}
	const host, te = "Host: a\r\n", "Transfer-Encoding: chunked\r\n"
	taken := 0
	for name, x := range map[string]struct {
		sent   string
		status int
	}{
		"two encodings":             {head("1.1", host, te, te) + chunked(event), 501},
		"two other encodings":       {head("1.1", host, te, "Transfer-Encoding: identity\r\n") + chunked(event), 501},
		"a list of encodings":       {head("1.1", host, "Transfer-Encoding: identity, chunked\r\n") + chunked(event), 501},
		"no known encoding":         {head("1.1", host, "Transfer-Encoding: xchunked\r\n", length) + event, 501},
		"an encoding in quotes":     {head("1.1", host, "Transfer-Encoding: \"chunked\"\r\n") + chunked(event), 501},
		"an encoding after a tab":   {head("1.1", host, "Transfer-Encoding: \vchunked\r\n") + chunked(event), 400},
		"an encoding that goes on":  {head("1.1", host, "Transfer-Encoding: chunked\r\n x\r\n") + chunked(event), 501},
		"blank before the colon":    {head("1.1", host, "Transfer-Encoding : chunked\r\n", length) + event, 400},
		"blank before the name":     {"POST /v1/tenants/acme/events HTTP/1.1\r\n Transfer-Encoding: chunked\r\n" + host + length + "\r\n" + event, 400},
		"bare CR in a value":        {head("1.1", host, "X: a\rTransfer-Encoding: chunked\r\n", length) + event, 400},
		"bare CR for a line":        {head("1.1", host, "X: a\r\r\n", length) + event, 400},
		"NUL in a value":            {head("1.1", host, "X: a\x00b\r\n", length) + event, 400},
		"two hosts":                 {head("1.1", host, "Host: b\r\n", length) + event, 400},
		"no host":                   {head("1.1", length) + event, 400},
		"two lengths":               {head("1.1", host, length, "Content-Length: 0\r\n") + event, 400},
		"a list of lengths":         {head("1.1", host, "Content-Length: 21, 21\r\n") + event, 400},
		"a length with a sign":      {head("1.1", host, "Content-Length: +21\r\n") + event, 400},
		"a length below zero":       {head("1.1", host, "Content-Length: -1\r\n") + event, 400},
		"a length in hex":           {head("1.1", host, "Content-Length: 0x15\r\n") + event, 400},
		"a wrong length with TE":    {head("1.1", host, te, "Content-Length: x\r\n") + chunked(event), 400},
		"a chunk with a sign":       {head("1.1", host, te) + "+15\r\n" + event + "\r\n0\r\n\r\n", 400},
		"a chunk with a prefix":     {head("1.1", host, te) + "0x15\r\n" + event + "\r\n0\r\n\r\n", 400},
		"a chunk that is too large": {head("1.1", host, te) + "10000000000000015\r\n" + event + "\r\n0\r\n\r\n", 400},
		"a chunk that ends in LF":   {head("1.1", host, te) + "15\n" + event + "\r\n0\r\n\r\n", 400},
		"a chunk without an end":    {head("1.1", host, te) + "15\r\n" + event + "0\r\n\r\n", 400},
		"another protocol":          {head("2.0", host, length) + event, 505},
		"no protocol":               {"GET /readyz\r\n\r\n", 400},
	} {
		r := dialRaw(t, s)
		r.write(x.sent + smuggled)
		if status, body, _ := r.answer(); status != x.status && !(x.status == 501 && status == 400) {
			t.Errorf("%s: %d %s, want %d", name, status, body, x.status)
		}
		if status, body, more := r.answer(); more {
			t.Errorf("%s: what follows is answered too: %d %s", name, status, body)
		}
	}
	for name, sent := range map[string]string{
		"a length":           head("1.1", host, length) + event,
		"the length twice":   head("1.1", host, length, length) + event,
		"chunks":             head("1.1", host, te) + chunked(event),
		"chunks in capitals": head("1.1", host, "TRANSFER-ENCODING: CHUNKED\r\n") + chunked(event),
		"chunks and length":  head("1.1", host, te, length) + chunked(event), // the chunks count (RFC 9112, 6.3)
		"an absolute form":   strings.Replace(head("1.1", host, length), "POST /", "POST http://elsewhere.example/", 1) + event,
		"the older protocol": head("1.0", "Connection: keep-alive\r\n", length) + event,
	} {
		r := dialRaw(t, s)
		r.write(sent + smuggled)
		if status, body, _ := r.answer(); status != http.StatusAccepted {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if _, body, _ := r.answer(); body != "ready\n" { // which is the caller's own, for nobody else's are on the connection
			t.Errorf("%s: the next request is answered %q", name, body)
		}
		taken++
	}
	if n := published(t, c); n != taken {
		t.Errorf("%d events are stored, %d were taken", n, taken)
	}
}

func published(t *testing.T, c *client.Client) (n int) {
	t.Helper()
	for _, err := range c.Events(t.Context(), "acme", client.EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// case 71: behind a proxy that sees the end of a request elsewhere, nobody gets the answer
// to what somebody else has smuggled: the connection that callers share ends with a request
// of which there can be two.
func TestNoSmugglingBehindAProxy(t *testing.T) {
	t.Parallel()
	s, _ := start(t, serve.Config{Settings: settings(t, t.TempDir())})
	const keep, te = "Connection: keep-alive\r\n", "Transfer-Encoding: chunked\r\n"
	hidden := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)
	length := func(n int) string { return "Content-Length: " + strconv.Itoa(n) + "\r\n" }
	behind := "0\r\n\r\n" + smuggled
	for name, x := range map[string]struct{ head, body string }{
		// The proxy goes by the length, and all of the body is one request's.
		"length and chunks":             {"POST / HTTP/1.1\r\n" + te + length(len(behind)), behind},
		"length and chunks in capitals": {"POST / HTTP/1.1\r\n" + "transfer-encoding: CHUNKED\r\n" + length(len(behind)), behind},
		"two lengths":                   {"POST / HTTP/1.1\r\n" + length(5) + length(len(behind)), behind},
		// It goes by the chunks.
		"chunks of the older protocol and a length": {"POST / HTTP/1.0\r\n" + keep + te + length(strings.Index(hidden, "GET")), hidden},
		"chunks of the older protocol":              {"POST / HTTP/1.0\r\n" + keep + te, hidden},
		"chunks by a broken name":                   {"POST / HTTP/1.1\r\n" + "Transfer-Encoding : chunked\r\n" + length(4), hidden},
		"chunks by an encoding that is none":        {"POST / HTTP/1.1\r\n" + "Transfer-Encoding: xchunked\r\n" + length(4), hidden},
		// It sees none of either.
		"nothing": {"GET /nothing HTTP/1.1\r\n", ""},
	} {
		for _, by := range []string{"X-Forwarded-For: 192.0.2.1\r\n", "Forwarded: for=192.0.2.1\r\n", "Via: 1.1 proxy\r\n"} {
			r := dialRaw(t, s)
			r.write(x.head + "Host: a\r\n" + by + "\r\n" + x.body)
			if _, _, ok := r.answer(); !ok {
				t.Errorf("%s: no answer", name)
			}
			// Somebody else's request comes over the same connection, if there still is one.
			_, _ = io.WriteString(r.conn, "GET /livez HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n")
			status, body, ok := r.answer()
			if ok && body != "ok\n" {
				t.Errorf("%s: somebody else is answered %d %q", name, status, body)
			}
			if kept := name == "nothing"; ok != kept {
				t.Errorf("%s: the connection goes on: %t", name, ok)
			}
		}
	}
}
