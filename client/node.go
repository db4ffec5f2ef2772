package client

import (
	"context"
	"iter"
	"time"
)

// The states of a node.
const (
	NodeActive  = "active"
	NodeLeaving = "leaving" // it is stopping, and gets no more partitions
	NodeGone    = "gone"    // its lease is over: others take its partitions
)

// Node is one of the servers that share a store. Its times are the database's.
type Node struct {
	Name       string     `json:"name"`
	Self       bool       `json:"self"` // it is the one that was asked
	State      string     `json:"state"`
	Address    string     `json:"address,omitempty"` // where it listens
	Version    string     `json:"version,omitempty"` // of its program
	Schema     int        `json:"schema,omitempty"`  // version of the database's schema that its program knows; 0: the store is a data folder
	StartedAt  time.Time  `json:"started_at"`
	SeenAt     time.Time  `json:"seen_at"`                 // when it last renewed its lease
	LeaseEnds  *time.Time `json:"lease_ends_at,omitempty"` // nil: never
	Partitions []int      `json:"partitions"`              // those that it sends for
}

// Nodes lists the servers that share the store, oldest first.
func (c *Client) Nodes(ctx context.Context) iter.Seq2[*Node, error] {
	return list[Node](ctx, c, at("nodes"), nil)
}

// NodePage gets one page of Nodes.
func (c *Client) NodePage(ctx context.Context, where At, options ...Option) (*Page[Node], error) {
	return page[Node](ctx, c, at("nodes"), nil, where, options)
}
