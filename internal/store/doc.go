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
// PartitionOf(endpoint). A node may send for a lane only while it holds a
// lease over that partition; each lease carries a token that grows with every
// change of hands, and Record refuses a batch under an outdated one with
// ErrLeaseLost, having changed nothing.
//
// # Progress
//
// Looking for fresh deliveries through the whole log at every start would be
// slow, so the dispatcher says by Checkpoint how far it is. Progress is a
// lower bound: a store may forget some of it (and Fresh then meets deliveries
// that are recorded already, and skips them), but must never be ahead of it.
//
// # Reading on
//
// Events become visible in the order of their ids: once an event can be read,
// no event with a lower id appears any more. So whoever reads with the oldest
// first, and goes on after what was Seen, misses nothing and meets nothing
// twice. An engine with many writers has to end such a page before the first
// id that may still be filled.
//
// # Remembered requests
//
// A request with an Idempotency-Key is remembered in the same transaction as
// what it did: Append keeps those that bring events, Configure those that
// change anything else. Neither looks at the other's.
package store
