package api_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/testaid"
)

// patience is how long any answer may take: a bound for one that never comes.
const patience = 20 * time.Second

// case 63, case 64, case 71: whatever bytes come in over a connection, the API answers
// them all, none as a fault of its own, and takes no more than it may. In an input {key}
// is a key that may do everything, {pad} so many blanks, and {length} the length of what
// follows the first empty line.
func FuzzListener(f *testing.F) {
	faults := &testaid.Buffer{}
	b := setup(f, func(c *api.Config) {
		c.Logger, c.MaxBatchBytes = slog.New(slog.NewTextHandler(faults, &slog.HandlerOptions{Level: slog.LevelError})), 16<<10
	})
	b.endpoint("acme", `{"url":"https://example.com/"}`)
	server := httptest.NewUnstartedServer(b.api)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ReadTimeout, server.Config.MaxHeaderBytes = patience, 64<<10
	server.Start()
	f.Cleanup(server.Close)
	const as = "\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
	for _, seed := range []string{
		"GET /v1/tenants HTTP/1.1" + as + "\r\n", "HEAD /v1/tenants/acme HTTP/1.1" + as + "\r\n", "OPTIONS * HTTP/1.1" + as + "\r\n", "GET /v1/openapi.json HTTP/1.0\r\n\r\n",
		"POST /v1/tenants/acme/events HTTP/1.1" + as + "Content-Length: {length}\r\n\r\n{\"type\":\"a\",\"data\":{pad}1}",
		"POST /v1/tenants/acme/events HTTP/1.1" + as + "Idempotency-Key: \xff\r\nContent-Length: {length}\r\n\r\n{\"type\":\"a\",\"data\":1,\"id\":\"x\"}",
		"POST /v1/events HTTP/1.1" + as + "Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n{\"tenant\":\"acme\",\"type\":\"a\",\"data\":1}\n{\"tenant\":\"\x00\"}\n{pad}",
		"POST /v1/events HTTP/1.1" + as + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\n[{}\r\n1\r\n]\r\n0\r\nTrailer: x\r\n\r\n",
		"POST /v1/events HTTP/1.1" + as + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET /v1/keys HTTP/1.1" + as + "\r\n",
		"POST /v1/tenants/acme/endpoints HTTP/1.1" + as + "Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n{\"url\":\"https://example.com/{pad}\",\"filter\":[[[[{}]]]],\"headers\":{\"A\":\"\\r\\n\"}}",
		"PUT /v1/tenants/a%2Fb HTTP/1.1" + as + "If-Match: \"1\", W/\"2\", *\r\nContent-Length: {length}\r\n\r\n{\"name\":\"\\u0000\"}",
		"PUT /v1/event-types/a.b HTTP/1.1" + as + "Content-Length: {length}\r\n\r\n{\"schema\":{\"$ref\":\"#\"},\"description\":null}",
		"GET /v1/tenants/acme/events?limit=0x1&cursor=%ff&since=-1&limit=2 HTTP/1.1" + as + "\r\n", "GET /v1/tenants/acme/deliveries?state=failed&state=&endpoint=ep_%00 HTTP/1.1" + as + "\r\n",
		"GET /v1/tenants/acme/events/%00%2e%2e%2f HTTP/1.1" + as + "\r\n", "GET //v1/../v1/./keys HTTP/1.1" + as + "\r\n", "GET http://b/v1/keys HTTP/1.1" + as + "\r\n", "CONNECT a:1 HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET /v1/tenants/acme/requests/live?after=\x00 HTTP/1.1" + as + "Last-Event-ID: \x00\r\n\r\n", "GET /v1/tenants/acme/deliveries/live HTTP/1.1" + as + "Last-Event-ID: 1\r\n\r\n",
		"POST /v1/import HTTP/1.1" + as + "Content-Length: {length}\r\n\r\n[{\"kind\":\"tenant\",\"tenant\":\"a\"},{\"kind\":\"key\",\"key\":\"short\"},{\"tenant\":\"acme\",\"vendor_id\":1e9,\"fields\":\",\"},7]",
		"POST /v1/tenants/acme/replays HTTP/1.1" + as + "Content-Length: {length}\r\n\r\n{\"states\":[\"failed\"],\"since\":\"0000-01-01T00:00:00Z\",\"until\":\"9999-12-31T23:59:60Z\"}",
		"POST /v1/explain HTTP/1.1" + as + "Content-Length: {length}\r\n\r\n{\"headers\":{\"a\":[]},\"body\":\"\",\"secret\":\"whsec_\"}", "POST /v1/tenants/acme/purge HTTP/1.1" + as + "Content-Length: {length}\r\n\r\n{\"person\":\"x\"}",
		"DELETE /v1/tenants/other?dry_run=true HTTP/1.1" + as + "Content-Length: 5\r\n\r\nabc", "POST /v1/keys HTTP/1.1" + as + "Content-Length: {length}\r\n\r\n{\"tenants\":[\"acme\",\"acme\"],\"scopes\":[\"admin\"],\"expires_at\":\"\"}",
		"GET / HTTP/1.1\r\nHost: a\r\nX: {pad}\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "\r\n\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /{pad} HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(seed), uint32(0))
		f.Add([]byte(seed), uint32(30_000))
	}
	f.Fuzz(func(t *testing.T, input []byte, pad uint32) {
		sent := filled(input, int(pad%200_000))
		if bytes.Contains(sent, []byte("DELETE ")) || bytes.Contains(sent, []byte("urge")) || bytes.Contains(sent, []byte("PUT ")) {
			defer b.unheld("PUT", "/v1/tenants/acme", `{}`) // for the next input
		}
		got := exchange(t, server.Listener.Addr().String(), sent)
		if text := faults.String(); text != "" {
			t.Fatalf("it says that it failed: %s", text)
		}
		if len(got) == 0 {
			return // nothing was asked, or not to its end
		}
		method, rest, _ := strings.Cut(string(sent), " ")
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got)), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("no answer: %v\n%.300q", err, got)
		}
		if res.StatusCode >= http.StatusInternalServerError && res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusNotImplemented && res.StatusCode != http.StatusHTTPVersionNotSupported {
			t.Fatalf("%d\n%.300q", res.StatusCode, got)
		}
		_, body, _ := bytes.Cut(sent, []byte("\r\n\r\n"))
		if method == http.MethodPost && strings.HasPrefix(rest, "/v1/events ") && res.StatusCode/100 == 2 && res.Header.Get("Content-Length") == strconv.Itoa(len(body)) && len(body) > 128<<10 {
			t.Errorf("%d bytes were taken", len(body))
		}
	})
}

// unheld sends a request as the admin that is not held against the OpenAPI document, for
// whatever is wrong with it may be why it is sent.
func (b *bundle) unheld(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+adminKey)
	w := httptest.NewRecorder()
	b.api.ServeHTTP(w, r)
	return w
}

// filled is an input with what stands for something else in it.
func filled(input []byte, pad int) []byte {
	out := bytes.ReplaceAll(bytes.ReplaceAll(input, []byte("{key}"), []byte(adminKey)), []byte("{pad}"), bytes.Repeat([]byte(" "), pad))
	if len(out) > 1<<20 { // one pad after the other
		out = out[:1<<20]
	}
	_, body, _ := bytes.Cut(out, []byte("\r\n\r\n"))
	return bytes.ReplaceAll(out, []byte("{length}"), []byte(strconv.Itoa(len(body))))
}

// exchange sends all bytes over one connection, and returns what is answered up to its
// end, which must come.
func exchange(t *testing.T, addr string, sent []byte) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	// A caller who is gone is not answered: the end is said only when an answer has begun,
	// or none seems to come because something is missing.
	end := sync.OnceFunc(func() { _ = conn.(*net.TCPConn).CloseWrite() })
	go func() { _, _ = conn.Write(sent) }() // what is refused is not read to its end
	late := time.AfterFunc(30*time.Millisecond, end)
	defer late.Stop()
	var first [1]byte
	n, err := conn.Read(first[:])
	end()
	got := first[:n]
	if err == nil {
		var more []byte
		more, err = io.ReadAll(conn)
		got = append(got, more...)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("it hangs after %.300q", got)
	}
	return got
}
