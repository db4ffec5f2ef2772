package egress

import (
	"net/http"
	"strings"

	"grapnel/internal/hook"
)

// HopHeader goes with every request that carries a header which may hold an API key, and
// tells a server of this kind that it is no publisher's but somebody's delivery, so that none goes
// round in circles (case 92). Nothing is published, and nothing changed, without that
// header, which only endpoints with headers of their own send: no vendor's contract has it,
// and so all contracts stay as they are, byte for byte.
const HopHeader = "Grapnel-Hop"

// hopHeader is written with a number, as one that counts the ways so far.
var hopHeader = hook.Header{Name: HopHeader, Value: "1"}

// withHop is a request as it goes out: r itself, or one with the HopHeader.
func withHop(r *Request) *Request {
	for _, h := range r.Header {
		if strings.EqualFold(h.Name, "Authorization") || strings.EqualFold(h.Name, "X-Api-Key") {
			marked := *r
			marked.Header = append(r.Header[:len(r.Header):len(r.Header)], hopHeader)
			return &marked
		}
	}
	return r
}

// Returned reports whether a request is the delivery of a server of this kind.
func Returned(h http.Header) bool { return len(h.Values(HopHeader)) > 0 }
