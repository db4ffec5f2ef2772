package egress

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
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

// case 48: a connection that the transport has made, and perhaps never used, ends with
// the client; one that an attempt is on, with the attempt.
func TestConnectionsEndWithTheClient(t *testing.T) {
	t.Parallel()
	for _, used := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			mine, theirs := net.Pipe()
			c := &conn{Conn: mine, socket: newSocket(mine), http2: true}
			client, end := context.WithCancel(t.Context())
			c.endsWith(client)
			if used {
				c.users.enter()
			}
			end()
			synctest.Wait()
			if used {
				go theirs.Write([]byte("x"))
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Errorf("ended under an attempt: %v", err)
				}
				if !c.users.leave(true) {
					t.Error("outlives the client")
				}
				c.abandon()
			}
			if _, err := theirs.Read(make([]byte, 1)); err == nil {
				t.Errorf("used %t: still there", used)
			}
			c.Close()
			theirs.Close()
		})
	}
}
