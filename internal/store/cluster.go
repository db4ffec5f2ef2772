package store

import (
	"context"
	"time"

	"grapnel/internal/hook"
)

// Leaser hands out the right to send. Its calls for one node come one after the
// other.
type Leaser interface {
	// Acquire takes a lease for node, over the partitions that it can have now,
	// which may be none. On an engine with one process, that is all of them for as
	// long as the store is open, and each token is the number of the start.
	Acquire(ctx context.Context, node string) (Lease, error)

	// Renew extends a lease and returns what the node holds from now on: of l only
	// what is still held under its token, and maybe other partitions, unless l says
	// Leaves. One that changed hands meanwhile and came back has another token.
	// ErrLeaseLost: the node is not known any more, and holds nothing until it
	// acquires again.
	Renew(ctx context.Context, l Lease) (Lease, error)

	// Release gives the partitions of a lease back, for others to have at once. Of
	// those that are not held any more it changes nothing. An engine with one
	// process takes it for all of them.
	Release(ctx context.Context, l Lease) error
}

// Lease is a node's right to send for the lanes of some partitions.
type Lease struct {
	Node       string
	Partitions uint64            // bit i: partition i is held
	Tokens     [Partitions]int64 // of those that are held; each grows whenever its partition changes hands
	// Expires is when it ends if it is not renewed, by the monotonic clock of this
	// process: what was granted, counted from before the store was asked. So it is
	// never later than the end by the store's clock. Zero: it never ends.
	Expires time.Time
	Yield   uint64 // of Partitions, those that the node is to release as soon as it can, for other nodes
	Leaves  bool   // said to Renew and Release: the node is about to go, and takes no more
}

// Cluster is a Leaser of an engine that several nodes share.
type Cluster interface {
	// Nodes lists the nodes that are known, in the order in which they began: those
	// that hold a lease, and those whose lease has ended without having been released
	// for some time.
	Nodes(ctx context.Context) ([]Node, error)
}

// Node is one of several that share a store. Its times are by the store's clock, and
// true to a second or so.
type Node struct {
	Name       string
	Version    string    // of its program; "": it did not say
	Schema     int       // version of the store's schema that its program knows; 0: it did not say
	Address    string    // where it can be reached; "": it did not say
	Started    time.Time // when it acquired its lease
	Seen       time.Time // when it last renewed it
	Expires    time.Time // when it ends unless it is renewed; zero: it never does
	Over       bool      // it has ended
	Leaves     bool      // it is about to go
	Partitions uint64    // bit i: partition i is its own, or was when its lease ended, and is nobody else's yet
}

// Hint is a word of what another node has changed.
type Hint int

// Hints.
const (
	HintEvents        Hint = iota // events may have been stored
	HintConfiguration             // the configuration may have changed
	HintLeases                    // there may be partitions to have
)

// Listener is a store that hears from other nodes, mostly at once. What it does not
// hear is found by looking for it, a little later: nothing may depend on hints.
type Listener interface {
	// Listen calls hear, from one goroutine, whenever another node, or this one, has
	// changed something, until ctx ends.
	Listen(ctx context.Context, hear func(Hint))
}

// Holds reports whether the lease covers an endpoint's lane.
func (l *Lease) Holds(endpoint hook.EndpointNum) bool {
	return l.Partitions>>PartitionOf(endpoint)&1 == 1
}

// Only is the lease over no more than some of its partitions.
func (l Lease) Only(partitions uint64) Lease {
	l.Partitions &= partitions
	l.Yield &= partitions
	return l
}

// Under is what of the lease is held by another one under the same tokens.
func (l *Lease) Under(other *Lease) uint64 {
	both := l.Partitions & other.Partitions
	for p := range l.Tokens {
		if l.Tokens[p] != other.Tokens[p] {
			both &^= 1 << p
		}
	}
	return both
}

// Redeliverer is a Queue of an engine in which somebody may ask one node for what
// another one sends.
type Redeliverer interface {
	// Redelivered lists the lanes, of whatever node, with deliveries that Redeliver
	// made pending at or after since and that have not been sent since then. It may
	// list others.
	Redelivered(ctx context.Context, since time.Time) ([]hook.EndpointNum, error)
}

// CancelSharer is a Queue of an engine in which somebody may ask one node to cancel
// what another one sends.
type CancelSharer interface {
	// AskCancel writes down that deliveries are to be cancelled by whoever sends them.
	AskCancel(ctx context.Context, asked []CancelRequest) error

	// AskedCancels lists what was asked for and is still to be done for the partitions
	// of a lease, or a part of it. Nothing is checked of the lease but which those are.
	AskedCancels(ctx context.Context, l Lease) ([]CancelRequest, error)

	// DoneCancels takes what was done off the list, and StillAsked counts what of some
	// is on it.
	DoneCancels(ctx context.Context, done []CancelRequest) error
	StillAsked(ctx context.Context, asked []CancelRequest) (int, error)
}

// CancelRequest is a delivery to be cancelled.
type CancelRequest struct {
	Key    hook.DeliveryKey
	Tenant hook.TenantNum
	Reason string
}

// ReplaySharer is a Configurator and Queue of an engine in which several nodes share
// the replays out.
type ReplaySharer interface {
	// RunningReplays lists the replays of all tenants that have not ended, also with
	// what Notes say of them, which Configuration does not list as new.
	RunningReplays(ctx context.Context) ([]*hook.Replay, error)

	// RedeliverUnder is Redeliver while all partitions of a lease are held under their
	// tokens; else it changes nothing, and the error is ErrLeaseLost.
	RedeliverUnder(ctx context.Context, l Lease, tenant hook.TenantNum, key hook.DeliveryKey, now time.Time) error
}

// Follower is a Queue of an engine in which several nodes store events. Where
// one process stores them all, they are offered as they are stored, and nothing
// else arrives.
type Follower interface {
	// Arrived returns events after an id, in the order of ids, whoever stored them:
	// those that have a target with the disposition Deliver in a partition of the
	// lease, limit of them at most, or fewer where they are large. Nothing is
	// checked of the lease but which partitions it is over. It is cheap enough to be
	// asked every few milliseconds.
	Arrived(ctx context.Context, l Lease, after hook.EventID, limit int) (Arrivals, error)

	// LastEvent is the highest event id ever stored, as Log has it.
	LastEvent(ctx context.Context) (hook.EventID, error)
}

// Arrivals are events that were stored.
type Arrivals struct {
	Events []*hook.Event
	// Seen says how far was looked: no event up to it is left out, and as the after
	// of a later call it finds what came since. It is never below after.
	Seen hook.EventID
}
