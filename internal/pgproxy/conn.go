package pgproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// conn is a client's connection with the one to the server that belongs to it.
type conn struct {
	proxy   *Proxy
	client  net.Conn
	server  net.Conn
	ended   chan struct{}
	once    sync.Once
	deliver chan struct{}

	names map[string]string // statements by name, of the goroutine that reads the client

	mu      sync.Mutex
	pending []*cut // what is to happen with each answer that is still to come; nil: nothing
}

// attach says which connection leads to the server.
func (c *conn) attach(server net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = server
	select {
	case <-c.ended:
		_ = server.Close() // it came too late
	default:
	}
}

func (c *conn) close() {
	c.once.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.ended)
		_ = c.client.Close() // nothing is expected from either any more
		if c.server != nil {
			_ = c.server.Close()
		}
	})
}

// pass waits while a direction is held; false: the connection has ended.
func (c *conn) pass(d Direction) bool {
	for {
		held := c.proxy.gate(d)
		if held == nil {
			return true
		}
		select {
		case <-held:
		case <-c.ended:
			return false
		}
	}
}

// Codes of a first message that asks for something else than a session.
const (
	codeTLS    = 80877103
	codeGSS    = 80877104
	codeCancel = 80877102
)

// toServer passes on what the client says: its first message, and then what it asks,
// in groups that the server answers as one.
func (c *conn) toServer() {
	in := bufio.NewReader(c.client)
	if !c.startUp(in) {
		return
	}
	var group []byte
	var text string // of the last statement of the group that is executed
	bound := ""
	for {
		kind, message, err := read(in)
		if err != nil {
			return
		}
		group = append(group, message...)
		switch body := message[5:]; kind {
		case 'P':
			name, rest := word(body)
			c.names[name], _ = word(rest)
			continue
		case 'B':
			_, rest := word(body)
			name, _ := word(rest)
			bound = c.names[name]
			continue
		case 'E':
			text = bound
			continue
		case 'D', 'C':
			continue
		case 'Q':
			text, _ = word(body)
		}
		if !c.send(kind, group, text) {
			return
		}
		group, text = nil, ""
	}
}

// startUp passes on the first message.
func (c *conn) startUp(in *bufio.Reader) bool {
	for {
		head, err := in.Peek(8)
		if err != nil {
			return false
		}
		size, code := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		message := make([]byte, size)
		if _, err := io.ReadFull(in, message); err != nil || !c.pass(ToServer) {
			return false
		}
		if code == codeTLS || code == codeGSS {
			if _, err := c.client.Write([]byte{'N'}); err != nil {
				return false
			}
			continue
		}
		_, err = c.server.Write(message)
		return err == nil && code != codeCancel
	}
}

// send passes a group on, or cuts the connection in the way that was asked for.
func (c *conn) send(kind byte, group []byte, text string) bool {
	var found *cut
	if kind == 'S' || kind == 'Q' {
		if text != "" {
			found = c.proxy.match(text)
		}
		c.mu.Lock()
		c.pending = append(c.pending, found)
		c.mu.Unlock()
	}
	if found != nil {
		switch found.at {
		case Unsent:
			close(found.done)
			return false
		case Late:
			c.proxy.postpone(c)
			_ = c.client.Close() // that is the cut
			close(found.done)
			select {
			case <-c.deliver:
			case <-c.ended:
				return false
			}
		}
	}
	if !c.pass(ToServer) {
		return false
	}
	if _, err := c.server.Write(group); err != nil {
		return false
	}
	if found == nil {
		return true
	}
	if found.at == Sent {
		_ = c.client.Close()
		close(found.done)
	}
	<-c.ended // the server answers first: it has got all, and does not see the cut before
	return false
}

// toClient passes on what the server says.
func (c *conn) toClient() {
	in := bufio.NewReader(c.server)
	var out []byte
	for {
		kind, message, err := read(in)
		if err != nil {
			return
		}
		found := c.next()
		switch {
		case kind == 'A' && c.proxy.muted():
		case found == nil:
			out = append(out, message...)
		}
		if kind == 'Z' {
			c.answered()
			if found != nil {
				if found.at == Answered {
					_ = c.client.Close()
					close(found.done)
				}
				return
			}
			c.linger()
		}
		if in.Buffered() > 0 || len(out) == 0 { // of what is dropped nothing is to be written, for the client may be gone
			continue
		}
		if !c.pass(ToClient) {
			return
		}
		if _, err := c.client.Write(out); err != nil {
			return
		}
		out = out[:0]
	}
}

// next is what is to happen with the answer that comes now.
func (c *conn) next() *cut {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		return nil
	}
	return c.pending[0]
}

// answered says that an answer is complete.
func (c *conn) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) > 0 {
		c.pending = c.pending[1:]
	}
}

// linger holds an answer back for as long as answers are delayed.
func (c *conn) linger() {
	d := c.proxy.slow()
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ended:
	}
}

// read reads a message: a letter, its length without the letter, and its body.
func read(in *bufio.Reader) (kind byte, message []byte, err error) {
	head, err := in.Peek(5)
	if err != nil {
		return 0, nil, err
	}
	message = make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
	_, err = io.ReadFull(in, message)
	return message[0], message, err
}

// word takes a text that ends with a zero off the beginning of a message.
func word(body []byte) (text string, rest []byte) {
	before, after, _ := bytes.Cut(body, []byte{0})
	return string(before), after
}
