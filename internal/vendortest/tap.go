package vendortest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Tap stands between the server and a receiver. It passes each request on byte
// by byte, and keeps it with the receiver's answer.
type Tap struct {
	URL string // for the endpoint, without a path

	t        testing.TB
	receiver string
	mu       sync.Mutex
	seen     []Seen
	came     chan struct{} // gets something when a request was answered
}

// Seen is a request as it lay on the wire, and the status that it got.
type Seen struct {
	Line   string   // the request line
	Header []string // lines in their order and case
	Body   []byte
	Status int
}

// Get is the value of the header of exactly this name, case included.
func (s Seen) Get(name string) string {
	for _, line := range s.Header {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return value
		}
	}
	return ""
}

// Has reports whether there is a header of a name, in any case.
func (s Seen) Has(name string) bool {
	for _, line := range s.Header {
		if have, _, _ := strings.Cut(line, ":"); strings.EqualFold(have, name) {
			return true
		}
	}
	return false
}

// NewTap makes a tap before a receiver, which ends with the test. With no
// receiver ("") it answers 200 itself.
func NewTap(t testing.TB, receiver string) *Tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Tap{URL: "http://" + l.Addr().String(), t: t, receiver: receiver, came: make(chan struct{}, 1)}
	var serving sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			serving.Go(func() {
				p.serve(c)
				c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	return p
}

func (p *Tap) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		s, err := read(r)
		if err != nil {
			return // the connection ended
		}
		if s.Status, err = s.sendTo(p.receiver); err != nil {
			s.Status = 502
		}
		p.mu.Lock()
		p.seen = append(p.seen, s)
		p.mu.Unlock()
		select {
		case p.came <- struct{}{}:
		default:
		}
		if _, err := fmt.Fprintf(c, "HTTP/1.1 %d Answered\r\nContent-Length: 0\r\n\r\n", s.Status); err != nil {
			return
		}
	}
}

// read takes one request off the wire.
func read(r *bufio.Reader) (Seen, error) {
	var s Seen
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return s, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		switch {
		case s.Line == "":
			s.Line = line
			continue
		case line == "":
			s.Body = make([]byte, length)
			_, err := io.ReadFull(r, s.Body)
			return s, err
		}
		s.Header = append(s.Header, line)
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return s, err
			}
		}
	}
}

// sendTo sends the request anew, on a connection of its own, and returns the
// status of the answer.
func (s Seen) sendTo(receiver string) (status int, err error) {
	if receiver == "" {
		return http.StatusOK, nil
	}
	u, err := url.Parse(receiver)
	if err != nil {
		return 0, err
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	var b bytes.Buffer
	b.WriteString(s.Line + "\r\n" + strings.Join(s.Header, "\r\n") + "\r\nConnection: close\r\n\r\n")
	b.Write(s.Body)
	if _, err := c.Write(b.Bytes()); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // the status is there
	}
	return res.StatusCode, err
}

// Wait waits for the first n requests and returns them.
func (p *Tap) Wait(n int) []Seen {
	p.t.Helper()
	for end := time.After(patience); ; {
		p.mu.Lock()
		seen := p.seen
		p.mu.Unlock()
		if len(seen) >= n {
			return seen
		}
		select {
		case <-p.came:
		case <-end:
			p.t.Fatalf("%d requests came, want %d", len(seen), n)
		}
	}
}
