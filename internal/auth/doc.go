// Package auth says who is calling and for which tenant they may do what. It
// knows keys by their SHA-256 only, and portal links by what they say of
// themselves under a MAC.
//
// A thing of another tenant and a thing that does not exist are the same to a
// caller: not found (case 94). A trouble of ours is never told as a refusal:
// it is "unavailable" (case 98).
package auth
