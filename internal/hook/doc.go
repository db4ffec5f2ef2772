// Package hook holds Grapnel's vocabulary: tenants, endpoints, events,
// deliveries and attempts as plain types, their ids, the delivery's state
// machine and the one error type. It uses the standard library alone, does no
// I/O and never asks the clock, so every other package may stand on it.
//
// The field names of Tenant, Endpoint, EventType and Key are what a store
// keeps: renaming one is a migration.
package hook
