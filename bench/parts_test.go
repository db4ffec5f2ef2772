package bench

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	t.Parallel()
	h := &histogram{}
	if h.quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	h.add(-time.Second) // a clock that was set back counts as zero
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	read := &histogram{}
	if err := json.Unmarshal(text, read); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[float64]time.Duration{0: 0, 0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := read.quantile(q); got < want*98/100 || got > want*102/100 {
			t.Errorf("quantile %g is %s, want %s", q, got, want)
		}
	}
	read.merge(h)
	if n := read.count(); n != 2002 {
		t.Errorf("merged: %d", n)
	}
	if err := json.Unmarshal([]byte(`{"counts":{"99999":1}}`), read); err == nil {
		t.Error("a bucket that does not exist was read")
	}
}

// Buckets follow each other without gaps or overlaps.
func TestHistogramBuckets(t *testing.T) {
	t.Parallel()
	last := 0
	for ns := int64(0); ns < 1<<20; ns++ {
		b := bucketOf(ns)
		if b != last && b != last+1 {
			t.Fatalf("%d ns is in bucket %d, %d ns in %d", ns, b, ns-1, last)
		}
		last = b
		if m := int64(middle(b)); bucketOf(m) != b {
			t.Fatalf("the middle of bucket %d is %d, in bucket %d", b, m, bucketOf(m))
		}
	}
	if b := bucketOf(1 << 62); b != buckets-1 {
		t.Errorf("a century is in bucket %d of %d", b, buckets)
	}
}

func TestPublishRequest(t *testing.T) {
	t.Parallel()
	at := time.Unix(1794000000, 123456789)
	for _, batch := range []int{1, 3} {
		s := &Stream{Tenant: "t", Size: 300, Batch: batch}
		r := publishRequest(s, "h:1", "key", "a.b")
		if len(r.at) != batch {
			t.Fatalf("%d events in a batch of %d", len(r.at), batch)
		}
		for i := range r.at {
			r.patch(i, at, int64(i+1))
		}
		_, body, _ := strings.Cut(string(r.bytes), "\r\n\r\n")
		if batch == 1 {
			body = "[" + body + "]"
		}
		var items []struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal([]byte(body), &items); err != nil {
			t.Fatal(err)
		}
		for i, item := range items {
			var d struct {
				At int64
				N  string
			}
			if err := json.Unmarshal(item.Data, &d); err != nil {
				t.Fatal(err)
			}
			if len(item.Data) != 300 || d.At != at.UnixNano() || d.N != "00000000000"+string(rune('1'+i)) || item.Type != "a.b" {
				t.Errorf("event %d of %d: %s", i, batch, item.Data)
			}
			if got, ok := sentAt([]byte(`{"type":"a.b","data":` + string(item.Data))); !ok || !got.Equal(at) {
				t.Errorf("read back: %v, %v", got, ok)
			}
		}
	}
	for _, body := range []string{"", `{"at":12`, `{"at":"no number at all, this"}`} {
		if _, ok := sentAt([]byte(body)); ok {
			t.Errorf("a time in %q", body)
		}
	}
}

func TestWireReadsAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40<<10)
	for _, c := range []struct {
		text, body string
		status     int
		wait       time.Duration
		bad        bool
	}{
		{text: "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}", body: "{}", status: 202},
		{text: "HTTP/1.1 204 No Content\r\n\r\n", status: 204},
		{text: "HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status: 503, wait: 3 * time.Second},
		{text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", body: "abcde", status: 200},
		{text: "HTTP/1.1 200 OK\r\nContent-Length: 40960\r\n\r\n" + long, body: long, status: 200},
		{text: "SSH-2.0-OpenSSH\r\n", bad: true},
		{text: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", bad: true},
		{text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", bad: true},
		{text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", bad: true},
	} {
		here, there := net.Pipe()
		go func() {
			buf := make([]byte, 16)
			_, _ = there.Read(buf) // the request
			_, _ = io.WriteString(there, c.text)
			_ = there.Close()
		}()
		w := &wire{conn: here, in: bufio.NewReaderSize(here, 16<<10)}
		a, err := w.exchange([]byte("GET / HTTP/1.1"), time.Minute)
		if (err != nil) != c.bad || a.status != c.status || string(a.body) != c.body || a.retryAfter != c.wait {
			t.Errorf("%.60q: status %d, %d bytes, wait %s, %v", c.text, a.status, len(a.body), a.retryAfter, err)
		}
		w.drop()
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for want, values := range map[float64][]float64{0: nil, 2: {3, 1, 2}, 2.5: {4, 1, 2, 3}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %g", values, got)
		}
	}
}
