package egress

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"net/http"
	"testing"

	"grapnel/internal/hook"
)

// What is written here is to the byte what net/http writes (cases 74, 76, 77).
func TestSameBytesAsNetHTTP(t *testing.T) {
	t.Parallel()
	headers := [][]hook.Header{
		nil,
		{{Name: "x-b", Value: "2"}, {Name: "X-A", Value: "1"}, {Name: "x-b", Value: "1"}, {Name: "X-B", Value: "3"}},
		{{Name: "User-Agent", Value: " Grapnel/1\t"}, {Name: "A", Value: "a"}, {Name: "Z", Value: "\tz z\t"}},
		{{Name: "User-Agent", Value: ""}, {Name: "E", Value: ""}},
		{{Name: "user-agent", Value: "me"}, {Name: "Latin", Value: "caf\xe9"}, {Name: "UTF-8", Value: "café"}},
	}
	for _, raw := range []string{
		"http://a.example", "http://a.example?", "http://a.example/?", "http://a.example?x=1", "http://a.example/?x=a?b&c=/d",
		"http://a.example//b//c", "http://a.example//b.example/", "http://a.example/a/../b/./c", "http://a.example/%2f%2F%41%20%00",
		"http://a.example/é/日本?q=ü", "http://a.example/a:b@c;d=e,f+g!$'()*~", "http://a.example/<>\"^`{|}?<>\"^`{|}",
		"http://a.example/[x]?[y]", "http://a.example/http://b.example/", "http://a.example/*", "http://a.example/%0d%0aX:%20y",
		"http://A.Example.:80/", "https://a.example:443/", "https://a.example:8443/", "http://a.example:00080/",
		"http://bücher.example/", "http://127.0.0.1:8080/", "http://[::1]/", "http://[2001:DB8::1]:8080/", "https://[::ffff:192.0.2.1]:443/",
	} {
		target, problem := parseTarget(raw)
		if problem != nil {
			t.Errorf("%s: %v", raw, problem)
			continue
		}
		for _, header := range headers {
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS", "X!y"} {
				for _, body := range []string{"", "{}"} {
					r := &Request{Method: method, Header: header, Body: []byte(body)}
					checkSameBytes(t, r, target)
				}
			}
		}
	}
}

func checkSameBytes(t *testing.T, r *Request, target *target) {
	t.Helper()
	if wrong := checkRequest(r); wrong != "" {
		t.Fatal(wrong)
	}
	theirs := newHTTP2Request(r, target)
	if len(r.Body) == 0 {
		theirs.Body = http.NoBody
	}
	var got, want bytes.Buffer
	if err := cmp.Or(theirs.Write(&want), writeRequest(&got, newRequestHead(r, target), r.Body)); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("%s %v: %q, net/http has %q", target.url, r.Header, got.String(), want.String())
	}
	back, err := http.ReadRequest(bufio.NewReader(&got))
	if err != nil {
		t.Errorf("%q cannot be read: %v", want.String(), err)
		return
	}
	if body, err := io.ReadAll(back.Body); err != nil || !bytes.Equal(body, r.Body) || back.Host != target.url.Host || back.RequestURI != target.path {
		t.Errorf("%q is read as %s for %s with %q, %v", want.String(), back.RequestURI, back.Host, body, err)
	}
}

// No URL puts anything but its path and query on the request line, and nothing
// but its host in the Host line (cases 74, 76; case 91).
func FuzzRequestLine(f *testing.F) {
	for _, raw := range []string{"http://a/%0d%0a", "http://a/ HTTP/1.1", "http://a\r\nX: y/", "http://a?\x00", "http://a/\u2028\u0085", "http://[::1%25a\r\n]/",
		"http://a/%0d%0aHost:%20b", "http://a/_%0D%0ASET%20x%201%0D%0A", "http://a/\r\nPRI * HTTP/2.0\r\n\r\nSM", "http://a/?x= HTTP/1.1\r\nUpgrade: h2c", "http://a\u560d\u560a/", "http://a/嘍嘊Set-Cookie:x"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, problem := parseTarget(raw)
		if problem != nil {
			return
		}
		checkSameBytes(t, &Request{Method: http.MethodPost, Body: []byte("{}")}, target)
		head := newRequestHead(&Request{Method: http.MethodPost}, target)
		for _, c := range head {
			if c >= 0x7f || c < ' ' && c != '\r' && c != '\n' {
				t.Fatalf("%q holds %q", head, c)
			}
		}
		if bytes.Count(head, []byte("\n")) != 3 || bytes.Count(head, []byte(" ")) != 4 {
			t.Fatalf("%q", head)
		}
	})
}
