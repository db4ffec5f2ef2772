//go:build unix

package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

func startReceiver(b *testing.B, scheme string) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), receiverEnv+"="+scheme)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// benchPosts runs post on 32 goroutines for each core and reports this
// process's CPU time for each.
func benchPosts(b *testing.B, post func() error) {
	b.ReportAllocs()
	b.SetParallelism(32)
	begin := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := post(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((cpuTime(b)-begin).Microseconds())/float64(b.N), "cpu-µs/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var benchHeader = []hook.Header{
	{Name: "Content-Type", Value: "application/json"},
	{Name: "User-Agent", Value: "Grapnel/1"},
	{Name: "webhook-id", Value: "01890a5d-ac96-774b-bcce-b302099a8057"},
	{Name: "webhook-timestamp", Value: "1700000000"},
	{Name: "webhook-signature", Value: "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="},
}

// BenchmarkPost is one keep-alive POST of 1 KiB through the whole door. What
// counts is cpu-µs/op and its difference to BenchmarkPostBare.
func BenchmarkPost(b *testing.B) {
	for _, scheme := range []string{"http", "https"} {
		b.Run(scheme, func(b *testing.B) { benchDoor(b, scheme) })
	}
}

func benchDoor(b *testing.B, scheme string) {
	c := newBenchClient(b)
	r := benchRequest(startReceiver(b, scheme)+"/", 10*time.Second)
	benchPosts(b, func() error {
		if res := c.Do(b.Context(), r); res.Status != http.StatusOK {
			b.Error(res.Class, res.Detail, res.Status)
		}
		return nil
	})
}

// newBenchClient makes a client that trusts the receiver, which has the
// certificate that every TLS server of httptest has.
func newBenchClient(b *testing.B) *egress.Client {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return newClient(b, egress.Config{RootCAs: roots})
}

func benchRequest(url string, timeout time.Duration) *egress.Request {
	return &egress.Request{Method: "POST", URL: url, Body: bytes.Repeat([]byte("x"), 1024), Timeout: timeout, Header: benchHeader}
}

// BenchmarkInFlight is the memory of attempts whose endpoint does not answer:
// what counts is B/attempt.
func BenchmarkInFlight(b *testing.B) {
	for _, scheme := range []string{"http", "https"} {
		b.Run(scheme, func(b *testing.B) { benchInFlight(b, scheme, 2000) })
	}
}

func benchInFlight(b *testing.B, scheme string, attempts int) {
	c := newBenchClient(b)
	r := benchRequest(startReceiver(b, scheme)+silentPath, time.Minute)
	for b.Loop() {
		before := memory()
		ctx, cancel := context.WithCancel(b.Context())
		var running sync.WaitGroup
		for range attempts {
			running.Go(func() { c.Do(ctx, r) })
		}
		time.Sleep(3 * time.Second) // all of them wait by then
		b.ReportMetric(float64(memory()-before)/float64(attempts), "B/attempt")
		cancel()
		running.Wait()
	}
}

// memory is what the heap and the stacks take once garbage is gone.
func memory() int64 {
	for range 5 { // each halves the stacks that are too large
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// BenchmarkPostBare is the same POST by net/http's transport alone, with and
// without a deadline.
func BenchmarkPostBare(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchBare(b, 0) })
	b.Run("deadline", func(b *testing.B) { benchBare(b, 10*time.Second) })
}

func benchBare(b *testing.B, timeout time.Duration) {
	t := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	defer t.CloseIdleConnections()
	url, body := startReceiver(b, "http")+"/", bytes.Repeat([]byte("x"), 1024)
	benchPosts(b, func() error {
		ctx := context.Background()
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		for _, h := range benchHeader {
			req.Header[h.Name] = []string{h.Value}
		}
		resp, err := t.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	})
}
