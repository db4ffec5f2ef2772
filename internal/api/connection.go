package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
)

// connection is what is known of a connection, found out once for all of its
// requests.
type connection struct {
	peer netip.Addr
	good atomic.Pointer[string] // id of the key that worked last from the peer
}

// inConnection finds a request's connection in its context.
type inConnection struct{}

// ConnContext is for the http.Server that an API is served with. Without it the
// API works as well, and finds out with each request who the peer is.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, inConnection{}, &connection{peer: peerAddr(c.RemoteAddr().String())})
}

// connectionOf is nil where the server does not tell.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(inConnection{}).(*connection)
	return c
}

// peerOf is the address at the other end; the zero Addr where it has none.
func peerOf(r *http.Request) netip.Addr {
	if c := connectionOf(r); c != nil {
		return c.peer
	}
	return peerAddr(r.RemoteAddr)
}

func peerAddr(text string) netip.Addr {
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// worked is told of a key that is right, and is an error all the same where too
// many were wrong before. Of a key that has worked on the connection nothing
// more has to be found out, unless others may speak through it.
func (a *API) worked(c *call) error {
	id := c.caller.KeyID()
	at := connectionOf(c.r)
	if at == nil || len(a.Proxies) > 0 {
		return a.failed.worked(c.Header(), a.client(c.r), id, a.Now())
	}
	if last := at.good.Load(); last != nil && *last == id {
		return nil
	}
	err := a.failed.worked(c.Header(), at.peer, id, a.Now())
	if err == nil {
		at.good.Store(&id)
	}
	return err
}
