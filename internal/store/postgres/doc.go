// Package postgres is the store for many nodes: one PostgreSQL database (14 or
// later) that all of them connect to.
//
// # Sessions
//
// A transaction-mode pooler may stand between: nothing relies on a session. There
// are no named prepared statements unless the URL asks for them
// (default_query_exec_mode=cache_statement), no advisory locks but those of a
// transaction, no settings but those of one. What has to hold together is one
// statement, mostly a call of a function (migrations/2.sql), so that a client which
// stops half-way holds no lock, and the server keeps the plans.
//
// # The log
//
// Appends of all nodes take their turn on the one row of head, which gives ids: they
// ascend in the order of the commits, and events become visible in it. A node proposes
// ids by its clock; they are raised where others were faster, and lowered where they are
// from the future by the server's clock. What is old, too, is so by that clock: a node
// whose own is ahead removes and forgets nothing before its time.
//
// The log is cut into units by the ids of events, a day each: partitions of events,
// attempts, deliveries and bodies. A delivery that succeeded at its first attempt is a
// row of events and one of attempts, both only ever inserted. All others have a row in
// deliveries. Keys have tables of their own, for they have to be unique over all units.
//
// # Leases
//
// A node has one lease, by the server's clock alone, over all partitions that are its
// own: a renewal writes the node's one row. Each node that is alive has its share of
// the partitions, by the order in which they began; shares differ by one at most. What
// is nobody's, or whose holder's lease is over, goes to the next that renews and has
// room in its share; what a node has above its share it is asked to release. When a
// node comes or goes no more moves than has to, and what has settled stays.
//
// Whatever is stored for a partition is held against its token in the same statement,
// under a lock that it shares with its like, and that whoever takes the partition has to
// have alone. A renewal does not wait for it: it leaves what is being recorded just now
// for the next time. Hardly a lock outlives its statement. A node that stops in between
// all the same has its session ended, after some ten seconds at most: the server does it
// where a transaction takes several statements, the other nodes where the last few bytes
// of one do not arrive (hung.go).
//
// A node's name is its own: no other process, before or after, uses it. Where one does
// all the same, it is taken for the successor, which gets everything at once.
//
// # Hints
//
// Nodes tell each other of events, of changes to the configuration and of partitions
// to have by NOTIFY. Nothing depends on it: behind a pooler that shares out
// transactions nothing is heard, and what it would have told is found by looking.
//
// # Lost answers
//
// When a connection breaks while an append runs, nobody knows whether it was stored.
// Each append has a serial, which it leaves in its appender's row. Resolve raises that
// itself, waiting for an append that still runs: either it finds that it was stored, or
// whatever comes later is refused.
//
// # Upkeep
//
// Every node looks after the store once a minute, and each finds what others have done
// already. Units are made before they are needed, of a day or, where so much comes in
// that a day would be too large, of a part of one; those that the head has passed are
// counted once. Removing a unit is one short transaction that takes its tables out of
// the log, for which all others have to wait: it is tried only while nobody has had these
// tables for long, and given up when it does not get them at once. Counting what ended
// and forgetting keys comes after it, when nobody can meet them any more, and large files
// are dropped in the background; a crash in between leaves that to the next call, of
// whichever node.
//
// # Changes of the schema
//
// Each file in migrations leads to the next schema version. Its first line says which
// programs go on working with it, by the version that they know: "-- Works with 3.";
// without such a line, none before its own. That holds where a migration only adds: tables, indexes,
// columns with a default or without NOT NULL, and functions under new names. What it
// must not do then is to change or drop anything that such a program reads or calls, nor
// to hold a lock on the log for longer than a moment. So nodes can be upgraded one after
// the other: the first one migrates, the others work on. What is not used any more goes
// with a later version, which is refused while a node runs that would still use it.
package postgres
