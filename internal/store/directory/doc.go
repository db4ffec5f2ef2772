// Package directory is the configuration in memory: all tenants, endpoints,
// event types, keys, replays and what is pinned, as one consistent snapshot of
// what the store keeps.
//
// Whoever needs the configuration on the way of an event reads it here, never
// from the store. Whoever changes it stores the change and calls Refresh. The
// records handed out are shared and must not be changed: copy one, change the
// copy, and store that.
package directory
