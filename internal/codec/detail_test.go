package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
)

// sent is an attempt as most are.
func sent() hook.Attempt {
	id := hook.NextEventID(0, time.Unix(1_800_000_000, 0), 7)
	return hook.Attempt{
		Key: hook.DeliveryKey{Event: id, Endpoint: 3}, N: 1, At: time.Unix(1_800_000_001, 5).UTC(), Method: "POST", URL: "https://customer.example.com:8443/in?a=b",
		RequestHeader: []byte("Host: customer.example.com:8443\r\nUser-Agent: Grapnel\r\nContent-Length: 1034\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\n" +
			"webhook-id: " + id.String() + "\r\nwebhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=\r\nwebhook-timestamp: 1800000001\r\n"),
		BodySHA256: [32]byte{1, 2}, BodySize: 1034, Status: 200, Proto: "HTTP/1.1",
		ResponseHeader: []byte("Content-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\nDate: Fri, 15 Jan 2027 08:00:02 GMT\r\n"), ResponseBody: []byte("ok"),
		RemoteAddr: "192.0.2.1:8443", TLSVersion: "TLS 1.3", Reused: true, Timing: hook.Timing{Wait: 5 * time.Millisecond, Total: 6 * time.Millisecond}, State: hook.Delivered,
	}
}

// restored parses a detail with what the columns beside it hold.
func restored(t *testing.T, of hook.Attempt, detail []byte) hook.Attempt {
	t.Helper()
	got := hook.Attempt{Key: of.Key, N: of.N, At: of.At, State: of.State, Status: of.Status, Class: of.Class}
	if err := ParseDetail(detail, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDetailIsShort(t *testing.T) {
	t.Parallel()
	a := sent()
	detail := new(Details).Append(nil, &a, new(Packer))
	if d := cmp.Diff(a, restored(t, a, detail)); d != "" {
		t.Fatal(d)
	}
	if most := 205; len(detail) > most {
		t.Fatalf("a usual attempt takes %d bytes, more than %d", len(detail), most)
	}
}

// Whatever was sent and answered is shown as it was, byte by byte.
func TestDetailKeepsHeaders(t *testing.T) {
	t.Parallel()
	coder := new(Details) // what it remembers changes nothing
	for _, block := range []string{
		"", "\r\n", "no colon\r\n", "no end: of line", "A: b\r\nno end: of line", "A:b\r\n", "A: \r\n", ": \r\n", "A: b\nC: d\r\n", "A: b\rC\r\n",
		"Date: Fri, 15 Jan 2027 08:00:02 GMT\r\n", "Date: Sat, 15 Jan 2027 08:00:02 GMT\r\n", "Date: Fri, 15 Jan 2027 08:00:61 GMT\r\n", "Date: Mon, 01 Jan 0001 00:00:00 GMT\r\n",
		"Content-Length: 007\r\n", "Content-Length: 0\r\n", "Content-Length: -1\r\n", "Content-Length: +1\r\n", "Content-Length: 999999999999999999\r\n",
		"Content-Length: 9999999999999999999\r\n", "webhook-timestamp: 1800000001\r\n", "webhook-timestamp: 1799000001\r\n", "webhook-timestamp: 01800000001\r\n",
		"webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI5=\r\n", "webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI40\r\n",
		"webhook-signature: v1,====================================\r\n", "webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4= v1,x\r\n",
		"content-type: Application/JSON\r\ncontent-TYPE: *\r\n", "X: \xff\x00\r\n", "Host: customer.example.com\r\n", strings.Repeat("Vary: *\r\n", 1000),
	} {
		for _, at := range []time.Time{{}, time.Unix(1_800_000_000, 999), time.Unix(1<<33, 0), time.Unix(-1<<40, 0)} {
			a := sent()
			a.At = at
			a.RequestHeader, a.ResponseHeader = []byte(block), append([]byte("Server: x\r\n"), block...)
			got := restored(t, a, coder.Append(nil, &a, new(Packer)))
			if !bytes.Equal(got.RequestHeader, a.RequestHeader) || !bytes.Equal(got.ResponseHeader, a.ResponseHeader) {
				t.Fatalf("at %v, %q became %q and %q", at, block, got.RequestHeader, got.ResponseHeader)
			}
		}
	}
}

// What is stored means words and names by their place: that may never change.
func TestWordsKeepTheirPlaces(t *testing.T) {
	t.Parallel()
	for _, list := range []struct {
		what  string
		words []string
		most  int
		known int // how many there were when sum was taken
		sum   string
	}{
		{"words", words[:], maxWords, 35, "76f1f208f2c1990a"},
		{"names", names[:], maxNames, 64, "64a5e6a8c11621ea"},
	} {
		sum := sha256.Sum256([]byte(strings.Join(list.words[:list.known], "\n")))
		if got := hex.EncodeToString(sum[:8]); got != list.sum {
			t.Errorf("the first %d of %d %s have the sum %s, not %s: only their end may change", list.known, len(list.words), list.what, got, list.sum)
		}
		for _, w := range list.words {
			if list.most == maxWords && len(w) > longestWord {
				t.Errorf("%q is longer than longestWord", w)
			}
		}
		if len(list.words) >= list.most || len(numbered(list.words)) != len(list.words) {
			t.Errorf("%d %s: more than %d, or one of them twice", len(list.words), list.what, list.most)
		}
	}
}

// A detail of the first version, by the program that had no other.
func TestPlainDetail(t *testing.T) {
	t.Parallel()
	const plain = "01022a" + // version, flags: reused
		"00000000000000000000000000000000000000000000000000000000000000" + "a808" +
		"04504f5354" + "0175" + "00" + "08485454502f312e31" + "00" + "00" + "00" + "06613a20620d0a" + "00" + "026f6b" + "020406080a0c" + "00"
	b, err := hex.DecodeString(plain)
	if err != nil {
		t.Fatal(err)
	}
	want := hook.Attempt{
		Method: "POST", URL: "u", Proto: "HTTP/1.1", RequestHeader: []byte("a: b\r\n"), ResponseBody: []byte("ok"), Reused: true, BodySHA256: [32]byte{0x2a}, BodySize: 1064,
		Timing: hook.Timing{DNS: 1, Connect: 2, TLS: 3, Wait: 4, Body: 5, Total: 6},
	}
	if d := cmp.Diff(want, restored(t, hook.Attempt{}, b)); d != "" {
		t.Fatal(d)
	}
}
