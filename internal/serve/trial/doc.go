// Package trial is the server to try Grapnel with: the real server, a receiver
// beside it that plays three customers, and a few events sent through the
// public API. It tells what happens as a stream of events.
package trial
