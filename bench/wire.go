package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// wire is a keep-alive HTTP/1.1 connection that writes ready-made requests and
// reads just enough of the answers. net/http would cost the load generator as
// much CPU as the server spends on accepting, on cores that both share.
type wire struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// answer is what came back for a request.
type answer struct {
	status     int
	retryAfter time.Duration
	body       []byte // valid until the next exchange
	close      bool
	length     int // -1: chunked
}

// exchange sends a request and reads its answer. It connects when it is not
// connected; after an error the connection is gone.
func (w *wire) exchange(request []byte, timeout time.Duration) (answer, error) {
	if w.conn == nil {
		conn, err := net.DialTimeout("tcp", w.addr, timeout)
		if err != nil {
			return answer{}, fmt.Errorf("connect: %w", err)
		}
		w.conn, w.in = conn, bufio.NewReaderSize(conn, 16<<10)
	}
	a, err := w.roundTrip(request, timeout)
	if err != nil || a.close {
		w.drop()
	}
	return a, err
}

func (w *wire) drop() {
	if w.conn != nil {
		_ = w.conn.Close() // nothing is expected from it any more
		w.conn = nil
	}
}

func (w *wire) roundTrip(request []byte, timeout time.Duration) (answer, error) {
	if err := w.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return answer{}, err
	}
	if _, err := w.conn.Write(request); err != nil {
		return answer{}, err
	}
	a, err := w.head()
	if err != nil {
		return answer{}, err
	}
	if a.body, err = w.body(a.length); err != nil {
		return answer{}, err
	}
	return a, nil
}

var errNotHTTP = errors.New("the answer is not HTTP/1.1")

func (w *wire) head() (answer, error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return answer{}, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return answer{}, errNotHTTP
	}
	a := answer{}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return answer{}, errNotHTTP
	}
	for {
		line, err = w.in.ReadSlice('\n')
		if err != nil {
			return answer{}, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return a, nil
		}
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Content-Length"):
			if a.length, err = strconv.Atoi(value); err != nil || a.length < 0 {
				return answer{}, errNotHTTP
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			a.length = -1
		case strings.EqualFold(name, "Connection"):
			a.close = strings.EqualFold(value, "close")
		case strings.EqualFold(name, "Retry-After"):
			seconds, _ := strconv.Atoi(value) // a date counts as none
			a.retryAfter = time.Duration(seconds) * time.Second
		}
	}
}

func (w *wire) body(length int) ([]byte, error) {
	if length >= 0 {
		return w.take(length)
	}
	var all []byte
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		size, err := strconv.ParseUint(strings.TrimSpace(string(line)), 16, 31)
		if err != nil {
			return nil, errNotHTTP
		}
		chunk, err := w.take(int(size) + 2)
		if err != nil {
			return nil, err
		}
		if size == 0 {
			return all, nil
		}
		all = append(all, chunk[:size]...)
	}
}

// take reads n bytes, without a copy where they fit the buffer.
func (w *wire) take(n int) ([]byte, error) {
	if n <= w.in.Size() {
		b, err := w.in.Peek(n)
		if err != nil {
			return nil, err
		}
		_, err = w.in.Discard(n)
		return b, err
	}
	b := make([]byte, n)
	_, err := io.ReadFull(w.in, b)
	return b, err
}
