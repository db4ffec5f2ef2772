package callers

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

// ConnContext is for the http.Server that a face is served with. Without it
// Callers work as well, and find out with each request who the peer is.
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
