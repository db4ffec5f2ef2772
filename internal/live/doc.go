// Package live tells those who watch what happens while it happens: which
// deliveries something was recorded of, and which tenants have new events.
//
// It carries no contents. Who is told reads the store, which says how things
// are; so a message that is lost here costs time or is counted, and is never
// the only witness. Where nobody watches it costs one atomic load.
package live
