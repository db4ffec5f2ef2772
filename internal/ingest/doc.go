// Package ingest takes events in: it parses what a publisher sent, recognises
// what it has had before, matches each event with the endpoints that want it,
// and has the store commit all that in groups.
//
// A match costs what the endpoints of one tenant cost, or less: up to 32 of them
// are looked at one after the other in the directory's packed form, and nothing is
// kept; a tenant with more has routes by type and by pattern, made once for each
// version of its endpoints and kept for the tenants that publish. Filters are
// parsed once for each text. The matcher may be called from many goroutines at
// once.
//
// Publish is called by as many goroutines as there are requests. Each takes
// what it needs of the tenants' quotas, matches its events, and joins the line.
// One committer takes whatever waits as one group, so that the group grows
// under load and a lone publish waits for nobody; within it, equal keys meet in
// the order in which they came. While several tenants wait, they take turns and
// groups stay short, so that what a tenant waits for does not depend on what
// another has in the line. Only when the store has committed a group are its
// events offered to dispatch and its callers answered.
package ingest
