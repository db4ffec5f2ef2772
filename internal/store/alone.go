package store

import (
	"context"
	"time"
)

// Alone is the Cluster of an engine with one process: that is its only node, and holds
// all partitions for as long as it runs.
type Alone struct {
	Node Node
	Now  func() time.Time
}

// Nodes lists the one node, as of now.
func (a *Alone) Nodes(context.Context) ([]Node, error) {
	n := a.Node
	n.Seen, n.Partitions = a.Now(), ^uint64(0)
	return []Node{n}, nil
}
