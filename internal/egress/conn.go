package egress

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// conn is a connection to a target, with what its making took.
type conn struct {
	net.Conn          // what lies beneath TLS: the socket, or the TLS of a proxy over it
	stream   net.Conn // what requests are written to: the same, or TLS over it
	socket   *socket
	key      poolKey

	remote string
	took   phases
	tls    string // version, or ""
	http2  bool
	used   bool // a request has been sent on it

	probe [1]byte
	users users       // of HTTP/2
	stop  func() bool // of HTTP/2: ends the watch for the client's end; nil: none

	// Of an unused connection; the pool's.
	since        time.Time // when it was put there
	older, newer *conn
}

// usable reports whether a connection that was kept is still there and has
// nothing to say. Whatever can be read is no answer to the next request: it is
// the end of the connection, or more than the last answer announced (case 53).
// What TLS sends for itself, such as a late session ticket, is taken in.
func (c *conn) usable() bool {
	_, err := c.peek()
	return errors.Is(err, errNothing)
}

// spokeFirst reports whether something was said on a new connection, where
// nothing has been asked yet: that is no answer either. Its end shows later, and
// is not looked for here.
func (c *conn) spokeFirst() bool {
	n, _ := c.peek()
	return n > 0
}

// peek reads a byte, if there is one, and errNothing if not.
func (c *conn) peek() (int, error) {
	c.socket.nowait = true
	n, err := c.stream.Read(c.probe[:])
	c.socket.nowait = false
	return n, err
}

// interrupt ends all reading and writing, now and later.
func (c *conn) interrupt() {
	_ = c.socket.SetDeadline(time.Unix(1, 0)) // it fails if the connection is closed, which is as good
}

// abandon closes a connection on which something is unfinished. It does not
// wait; Close of stream may, to say good-bye by the rules of TLS.
func (c *conn) abandon() { c.socket.Close() }

// endsWith has a connection over HTTP/2 end with the client, once no attempt is on
// it. The transport's own way leaves those that no request has used yet.
func (c *conn) endsWith(client context.Context) {
	c.stop = context.AfterFunc(client, func() {
		if c.users.spoil() {
			c.abandon()
		}
	})
}

// Close closes what lies beneath TLS.
func (c *conn) Close() error {
	if c.stop != nil {
		c.stop()
	}
	return c.Conn.Close()
}

// maxUnasked bounds what is read of a connection over HTTP/2 while no attempt is
// on it, in bytes: the rest of answers that were given up, and what is said of
// the connection as a whole.
const maxUnasked = 2 << 20

var errUnasked = errors.New("egress: the endpoint says too much unasked")

// users counts the attempts on a connection over HTTP/2. The transport of
// net/http keeps a connection on which an attempt has run out of time, and reads
// whatever comes, or waits for an endpoint that does not read to take an
// acknowledgement. Nothing of the transport's ends that soon (case 48).
type users struct {
	mu      sync.Mutex
	n       int
	spoiled bool // an attempt has not ended in good order
	unasked int  // bytes that were read since nobody is on it
}

func (u *users) enter() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n++
	u.unasked = 0
}

// leave reports whether the connection is of no more use. It is for as long as
// others are on it.
func (u *users) leave(inOrder bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n--
	u.spoiled = u.spoiled || !inOrder
	return u.n == 0 && u.spoiled
}

// spoil has the connection be of no more use, and reports whether that is so now,
// because nobody is on it.
func (u *users) spoil() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.spoiled = true
	return u.n == 0
}

// takes reports whether n more bytes are within bounds.
func (u *users) takes(n int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n == 0 {
		u.unasked += n
	}
	return u.unasked <= maxUnasked
}

// Read reads what lies beneath TLS.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.http2 && !c.users.takes(n) {
		c.abandon()
		return 0, errUnasked
	}
	return n, err
}
