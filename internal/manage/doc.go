// Package manage holds what people configure: tenants, endpoints, event types,
// keys and secrets. Each use case checks its input, stores the change in one
// transaction and refreshes the directory, so that when it returns, every
// part of the process sees the change.
//
// Inputs have pointer fields: nil leaves a thing as it is. Whether the caller
// may ask at all is decided before (package auth).
//
// A change is made from what the directory holds and stored on condition that
// nobody has changed the configuration since; otherwise it is made again.
package manage
