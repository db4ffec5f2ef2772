// Package ssrf shows that nothing leaves for an address that must not be reached
// (cases 80 to 92): a corpus of URLs that a stranger might give for an endpoint, name
// servers that lie, and a network of its own in which every address there is answers and
// every first packet to a forbidden one is counted.
//
// What is forbidden is said here once more, from IANA's registries, apart from what
// internal/egress goes by: a mistake there is none here.
package ssrf
