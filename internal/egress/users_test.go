package egress

import (
	"net"
	"testing"
)

// case 48: a connection on which an attempt did not end in good order goes with
// the last attempt there, and not before.
func TestSpoiledConnectionGoesWithItsLast(t *testing.T) {
	t.Parallel()
	var u users
	u.enter()
	if u.leave(true) {
		t.Error("ended after an attempt in good order")
	}
	u.enter()
	u.enter()
	if u.leave(false) {
		t.Error("ended under another attempt")
	}
	if !u.leave(true) {
		t.Error("a spoiled connection stays when nobody is on it")
	}
}

// case 48: what is said while nobody asks is read up to a bound, and begins
// anew with each attempt. What an attempt reads is bounded by its own limits.
func TestUnaskedIsBounded(t *testing.T) {
	t.Parallel()
	mine, theirs := net.Pipe()
	defer theirs.Close()
	c := &conn{Conn: mine, socket: newSocket(mine), http2: true}
	go func() {
		chunk := make([]byte, 64<<10)
		for {
			if _, err := theirs.Write(chunk); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	read := func(n int) (err error) {
		for range n / len(buf) {
			if _, err = c.Read(buf); err != nil {
				return err
			}
		}
		return nil
	}
	c.users.enter()
	if err := read(2 * maxUnasked); err != nil {
		t.Fatal("during an attempt:", err)
	}
	c.users.leave(true)
	if err := read(maxUnasked); err != nil {
		t.Fatal("within the bound:", err)
	}
	if err := read(len(buf)); err != errUnasked {
		t.Errorf("past the bound: %v", err)
	}
	if _, err := mine.Read(buf); err == nil {
		t.Error("the connection is still open")
	}
}
