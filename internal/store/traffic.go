package store

import "time"

// Networked is an engine that is reached over a network.
type Networked interface {
	// Traffic tells what went on between this node and the store. It asks nothing.
	Traffic() Traffic
	// Warnings says what threatens the store though it works, and what to do about it.
	Warnings() []string
}

// Traffic is what went on between a node and its store.
type Traffic struct {
	Trips  map[string]int64 // round trips since the start, by what they were for
	InUse  int              // connections of the pool
	Idle   int              // connections of the pool
	Max    int              // connections of the pool
	Waits  int64            // calls that had to wait for a connection, since the start
	Waited time.Duration    // how long calls waited for one in all
}
