package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
)

// wireRequest is a request as it came over the wire.
type wireRequest struct {
	method, url string // "" without a request line
	header      http.Header
	asCame      http.Header // header, with the names as they came
	body        []byte
	missing     uint64 // bytes of the body that Content-Length promises and that are not there
}

// readRequest takes a request apart. The body's bytes are kept as they are.
func readRequest(in *bufio.Reader) (*wireRequest, error) {
	first, err := in.Peek(1)
	if err != nil || len(first) == 0 {
		return nil, errors.New("it is empty")
	}
	r := &wireRequest{}
	if err := r.requestLine(in); err != nil {
		return nil, err
	}
	head, err := headerBlock(in)
	if err != nil {
		return nil, err
	}
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(head))).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r.header, r.asCame = http.Header(h), asCame(head, http.Header(h))
	if host := r.header.Get("Host"); host != "" && strings.HasPrefix(r.url, "/") {
		r.url = "https://" + host + r.url
	}
	if strings.EqualFold(r.header.Get("Transfer-Encoding"), "chunked") {
		r.body, err = io.ReadAll(httputil.NewChunkedReader(in))
		return r, err
	}
	if r.body, err = io.ReadAll(in); err != nil {
		return nil, err
	}
	if text := r.header.Get("Content-Length"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("Content-Length is %q, which is no number of bytes", plain(text))
		}
		if have := uint64(len(r.body)); n > have {
			r.missing = n - have
		} else {
			r.body = r.body[:n]
		}
	}
	return r, nil
}

// headerBlock reads the headers as they are, to the empty line behind them.
func headerBlock(in *bufio.Reader) ([]byte, error) {
	var head []byte
	for {
		line, err := in.ReadSlice('\n')
		head = append(head, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return head, nil
		case err != nil:
			return nil, err
		case len(bytes.TrimRight(line, "\r\n")) == 0 && endsLine(head[:len(head)-len(line)]):
			return head, nil
		}
	}
}

// endsLine reports whether what follows begins a line.
func endsLine(b []byte) bool { return len(b) == 0 || b[len(b)-1] == '\n' }

// asCame are the headers under the names that they came with: some contracts
// sign their case.
func asCame(head []byte, h http.Header) http.Header {
	out, taken := make(http.Header, len(h)), map[string]int{}
	for _, line := range bytes.Split(head, []byte("\n")) {
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || name[0] == ' ' || name[0] == '\t' {
			continue // the rest of the line before
		}
		key := textproto.CanonicalMIMEHeaderKey(string(name))
		if n := taken[key]; n < len(h[key]) {
			out[string(name)] = append(out[string(name)], h[key][n])
			taken[key]++
		}
	}
	return out
}

// requestLine reads "POST /path HTTP/1.1", if the first line is one.
func (r *wireRequest) requestLine(in *bufio.Reader) error {
	head, err := in.Peek(in.Size())
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return err
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	name, _, ok := bytes.Cut(line, []byte(":"))
	if ok && !bytes.ContainsAny(name, " \t") {
		return nil // a header
	}
	if words := strings.Fields(string(line)); len(words) >= 2 {
		r.method, r.url = words[0], words[1]
	}
	_, err = in.ReadSlice('\n')
	return err
}
