// Package store says what Grapnel needs of a store, in prose and as one
// interface. Engines live below it (sqlite, later postgres); storetest is the
// suite that each of them passes.
//
// # The promise
//
// When Append, Record, Redeliver or Configure return nil, what they were given
// is on stable storage: it survives a kill of the process and a loss of power.
// When they return an error, nothing of the call is visible, now or later,
// unless the error is ErrUnknown.
//
// # What is kept
//
// The configuration: tenants, endpoints, event types, keys, replays, and what
// is pinned besides. It is small enough to be held in memory as a whole
// (package directory does). Every change gets the next revision.
//
// The log: events with whom they go to, attempts, and what became of each
// delivery. A delivery without a record of its own is "fresh": nothing but its
// event says that it exists. The first attempt records it.
//
//   - An event appears with all its targets or not at all.
//   - Attempts are only added.
//   - A delivery's state, number of attempts, next due time and kept body
//     change only by Record, Redeliver and Prune.
//   - A terminal state is left only by Redeliver.
//
// # Lanes, partitions and leases
//
// All deliveries to one endpoint are one lane. A lane belongs to the partition
// PartitionOf(endpoint). A node may send for a lane only while it holds its
// partition by a lease. Each partition has a token of its own, which grows with
// every change of hands. Record refuses a batch with ErrLeaseLost, having changed
// nothing, when the partition of any outcome in it is not held under the token
// that the lease has for it. So nothing that a former holder says changes
// anything, whatever it believes, and however late it is.
//
// A node renews its lease long before it ends. What Renew returns is what it
// holds: it drops all else at once, and begins with what is new. The store says
// by Yield which partitions it wants for other nodes; the node ends what it has
// begun there, has it recorded, and releases them. Whoever does not renew loses
// them when the lease ends, and does not send any more by then, for it counts
// that time by its own monotonic clock from before it asked.
//
// On an engine with one process there is one lease over all partitions, which
// never ends; every token is the number of the start.
//
// # Progress
//
// Looking for fresh deliveries through the whole log at every start would be
// slow, so the dispatcher says by Checkpoint how far it is in the partitions that
// it holds. Progress is a lower bound: a store may forget some of it (and Fresh
// then meets deliveries that are recorded already, and skips them), but must
// never be ahead of it. It is kept for each partition, for who holds that next: a
// node that gains one begins at its floor and marks, tells the marks of its lanes
// together with the first floor that it tells of it, and that may be lower than
// the one before.
//
// # Reading on
//
// Events become visible in the order of their ids: once an event can be read,
// no event with a lower id appears any more. So whoever reads with the oldest
// first, and goes on after what was Seen, misses nothing and meets nothing
// twice. An engine with many writers has to end such a page before the first
// id that may still be filled.
//
// A Follower tells in the same way what other nodes have stored: a node asks for
// what arrived after an id, and goes on after what was Seen. What it has stored
// itself is among that, so that nothing depends on who remembers what; it knows
// what it has offered already.
//
// # Remembered requests
//
// A request with an Idempotency-Key is remembered in the same transaction as
// what it did: Append keeps those that bring events, Configure those that
// change anything else. Neither looks at the other's.
package store
