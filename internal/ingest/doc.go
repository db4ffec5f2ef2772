// Package ingest takes events in: it parses what a publisher sent, recognises
// what it has had before, matches each event with the endpoints that want it,
// and has the store commit all that in groups.
//
// Publish is called by as many goroutines as there are requests. One
// committer takes whatever waits as one group, so that the group grows under
// load and a lone publish waits for nobody; within it, equal keys meet in the
// order in which they came. Only when the store has committed a group are its
// events offered to dispatch and its callers answered.
package ingest
