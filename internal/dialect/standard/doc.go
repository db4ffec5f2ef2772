// Package standard is the dialect of Standard Webhooks 1.0: the file beside
// this one, and nothing else.
package standard
