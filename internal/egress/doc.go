// Package egress is the one door out: it sends the HTTP requests of
// deliveries, and nothing else in this program opens an outbound connection
// (a test in this package walks the module and says who tries).
//
// A URL comes from a customer, so the address behind it is checked twice, when
// its name has been resolved and again as the socket connects. What comes back
// comes from a stranger, so it is bounded: no redirects, no decompression, no
// second sending behind the caller's back, limits for headers and body, and one
// deadline over everything.
//
// No proxy is used but one that the configuration names, and never one that the
// environment does. That one is asked to connect to the address that was
// checked, not to the name; the second check is then the proxy's, for only it
// knows what an address leads to in its network.
//
// HTTP/1.1 is spoken here, on the goroutine of whoever calls Do: one write for
// a request, the reading of its answer, and back into the pool with the
// connection. net/http's transport does the same with two more goroutines for
// each connection and a dozen hand-overs between them, which was half of the
// CPU time of a delivery. What stays with the library: answers are parsed by
// http.ReadResponse, so that its rules about framing are ours; TLS is
// crypto/tls; and HTTP/2 is the transport's (http2.go), for a connection that
// carries many requests at a time does need goroutines of its own.
//
// A connection of HTTP/1.1 passes from request to request of one scheme, host
// and port, if both sides are done with the last one and nothing was left over
// (case 53), and if, as it is taken up again, the other side has neither closed
// it nor said anything. On a new one, too, what is there before the request has
// gone out is not taken for its answer. A request that meets a connection which ends all the
// same has failed: it is not sent again from here.
//
// A request that fails is data and not an error: Result.Class says how. An
// answer is its header. When a 2xx header came and the body stops short (the
// deadline, a lost connection, the size limit), the request counts as answered
// and the result as truncated, for the body is only kept to be looked at.
package egress
