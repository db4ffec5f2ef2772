package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
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
		r := publishRequest(s, "h:1", "key", "t", "a.b")
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

// Every tenant has its turn before one comes again, and over the rounds each of
// its types.
func TestAddresses(t *testing.T) {
	t.Parallel()
	s := &Stream{Tenant: "t-", Tenants: 100, Types: eventTypes(10)}
	seen := map[string]int{}
	inOrder := true
	for n := range int64(1000) {
		tenant, eventType := s.address(n)
		seen[tenant]++
		seen[tenant+" "+eventType]++
		if seen[tenant] != int(n/100)+1 {
			t.Fatalf("%s has had %d turns at post %d", tenant, seen[tenant], n)
		}
		inOrder = inOrder && (n >= 100 || tenant == "t-"+strconv.FormatInt(n, 10))
	}
	if len(seen) != 1100 || inOrder {
		t.Errorf("%d tenants and types of tenants; in order: %t", len(seen), inOrder)
	}
	alone := &Stream{Tenant: "t", Types: []string{"a", "b"}}
	if tenant, eventType := alone.address(3); tenant != "t" || eventType != "b" {
		t.Errorf("%s, %s", tenant, eventType)
	}
}

// A request for another tenant or type is the same request with these in it.
func TestRequestsAreReaddressed(t *testing.T) {
	t.Parallel()
	for _, batch := range []int{1, 3} {
		s := &Stream{Size: 200, Batch: batch, Keyed: true}
		r := requests{stream: s, host: "h:1", key: "key"}
		for _, a := range [][2]string{{"t-1", "a.1"}, {"t-2", "a.1"}, {"t-22", "a.1"}, {"t-1", "a.22"}, {"t-3", "a.3"}} {
			fresh := publishRequest(s, "h:1", "key", a[0], a[1])
			again := r.of(a[0], a[1])
			for _, made := range []*template{&fresh, again} {
				for i := range made.at {
					made.patch(i, time.Unix(1794000000, 0), int64(i+7))
				}
			}
			if string(again.bytes) != string(fresh.bytes) || !strings.Contains(string(fresh.bytes), `"id":"bench-000000000007"`) {
				t.Errorf("%v:\n%s\nwant\n%s", a, again.bytes, fresh.bytes)
			}
		}
		if len(r.built) != 3 {
			t.Errorf("%d templates", len(r.built))
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]place{
		"/ok/0/7":           {kind: "ok", endpoint: 7},
		"/hang/3/123456789": {kind: "hang", group: 3, endpoint: 123456789},
		"/slow/1500/1/2":    {kind: "slow", wait: 1500 * time.Millisecond, group: 1, endpoint: 2},
	} {
		if got, ok := placeOf(path); !ok || got != want {
			t.Errorf("%s: %+v, %t", path, got, ok)
		}
	}
	for _, path := range []string{"", "/", "/ok", "/ok/0", "/ok/x/1", "/ok/-1/1", "/ok/1/-1", "/slow/x/0/1", "/slow/-5/0/1", "/bad/0/1"} {
		if got, ok := placeOf(path); ok {
			t.Errorf("%q: %+v", path, got)
		}
	}
}

// A receiver counts a delivery once for each endpoint, whatever it was sent, and
// forgets times and ages at a reset, but not whom it has seen.
func TestReceiverCounts(t *testing.T) {
	t.Parallel()
	r := newReceiver(receiverConfig{Groups: 2, Slot: time.Second})
	send := func(path, id, body string) int {
		q := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		q.Header.Set("webhook-id", id)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		return w.Code
	}
	at := `{"at":` + strconv.FormatInt(time.Now().UnixNano(), 10) + `}`
	for _, c := range [][3]string{{"/ok/0/1", "a", at}, {"/ok/0/1", "a", at}, {"/ok/0/2", "a", "{}"}, {"/slow/1/1/1", "b", at}, {"/ok/1/1", "", "x"}, {"/ok/1/1", "", "y"}} {
		if code := send(c[0], c[1], c[2]); code != http.StatusOK {
			t.Fatalf("%v: %d", c, code)
		}
	}
	for _, path := range []string{"/ok/2/1", "/nowhere"} {
		if code := send(path, "c", at); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
	s := r.stats(true)
	if s.Requests != 6 || s.Unique != 5 || s.First == 0 || s.Last < s.First || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	if g := s.Groups; g[0].Unique != 2 || g[1].Unique != 3 || g[0].Age.count() != 1 || len(g[1].Slots) != 1 {
		t.Errorf("groups: %+v, %+v", g[0], g[1])
	}
	r.reset()
	send("/ok/0/1", "a", at)
	if s := r.stats(true); s.Requests != 7 || s.Unique != 5 || s.First != 0 || s.Groups[0].Age.count() != 0 {
		t.Errorf("after a reset: %+v", s)
	}
}

// A post that is told to come later is repeated while there is time, and one with
// an id of its own until it has an answer.
func TestLoadObeysAndRepeats(t *testing.T) {
	t.Parallel()
	ctx, over := context.WithCancel(t.Context())
	defer over()
	var posts atomic.Int64
	bodies := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		text, _ := io.ReadAll(q.Body) // what is cut off is no JSON
		bodies <- string(text)
		switch posts.Add(1) {
		case 1:
			panic(http.ErrAbortHandler) // no answer
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			w.WriteHeader(http.StatusAccepted)
		case 4:
			over()
			w.Header().Set("Retry-After", "7200")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer server.Close()
	result := load(ctx, loadConfig{
		Addr: server.Listener.Addr().String(), Duration: time.Hour,
		Streams: []Stream{{Tenant: "t", Types: []string{"a"}, Size: 100, Connections: 1, Keyed: true}},
	})
	s := result.all()
	if s.accepted() != 1 || s.Unknown != 0 || s.Refused != 0 || s.Throttled != 2 || s.GivenUp != 1 || posts.Load() != 4 {
		t.Errorf("%+v, %d posts", s, posts.Load())
	}
	if a, b, c := <-bodies, <-bodies, <-bodies; a != b || b != c {
		t.Errorf("repeated as another event: %s, %s, %s", a, b, c)
	}
}
