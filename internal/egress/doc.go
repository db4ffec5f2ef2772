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
// A request that fails is data and not an error: Result.Class says how. An
// answer is its header. When a 2xx header came and the body stops short (the
// deadline, a lost connection, the size limit), the request counts as answered
// and the result as truncated, for the body is only kept to be looked at.
package egress
