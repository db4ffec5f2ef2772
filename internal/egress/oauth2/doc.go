// Package oauth2 gets the tokens that endpoints want, by client credentials (RFC 6749,
// section 4.4), and keeps them in memory until shortly before they expire.
//
// A token endpoint is a stranger's like any other: it is asked through egress, with its
// guard and its bounds, and within the time of the attempt that needs the token. For each
// endpoint one request is on its way at a time; other attempts of the endpoint wait for
// it, and no other endpoint's do. What it answers is never shown but for its status and
// one of the error codes that RFC 6749 lists: it knows the client's secret, and might
// say it.
package oauth2
