// Package directory is the configuration in memory: all tenants, endpoints,
// event types, keys, replays and what is pinned, as one consistent snapshot of
// what the store keeps.
//
// It is made for a million endpoints of a hundred thousand tenants. Tenants and
// endpoints lie packed in an arena, some two hundred bytes each, in memory that
// the garbage collector neither scans nor counts; what many have in common, such
// as lists of event types, is kept once. A record is unpacked when somebody asks
// for it, and a bounded number of those asked for last is kept. An unpacked record
// is never changed, but the same record may be unpacked twice: compare contents,
// not pointers. What matching needs stands first in a packed endpoint and is read
// as an Outline, without the rest.
//
// Nothing on the way of an event goes through all tenants or all endpoints, and a
// change costs what the endpoints of its tenant cost. Load takes the configuration
// in pieces where the store is a store.Loader. Whoever has to find something among
// all of them goes from tenant to tenant by Outlines and unpacks what it has found.
//
// Whoever needs the configuration on the way of an event reads it here, never
// from the store. Whoever changes it stores the change and calls Refresh. The
// records handed out are shared and must not be changed: copy one, change the
// copy, and store that.
package directory
