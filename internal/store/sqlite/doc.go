// Package sqlite is the embedded store: a folder of SQLite files that one
// process owns.
//
//	lock                who holds the folder
//	reserve             room for removing things when there is none else
//	control.db          configuration, lane marks, what retention removed
//	segments/seg-N.db   the log, cut where it got too large or too old; N is the
//	                    Seq of the first event that the segment may hold
//
// # Why segments
//
// A random-order index makes every insert dirty a page of its own, and the
// larger the file the worse. So the newest segment, the active one, has none:
// it is only appended to, in the order of event ids and delivery numbers. What
// an index would answer (keys, the events of an endpoint or tenant) is held in
// memory meanwhile, and rebuilt at start from the table ix, one compact row for
// each commit. When a segment is full the next one takes over at once, and a
// background step, the seal, writes the indexes in sorted order and in short
// transactions, builds Bloom filters, and drops the memory. Retention removes
// whole files.
//
// # Where a delivery stands
//
// Rows are keyed by the delivery's number. A delivery that succeeded at its
// first attempt has an attempt and no row in deliveries. One with neither is
// fresh. All others have a row in deliveries, in the segment of their event, so
// that no transaction spans files.
//
// # Writing
//
// One goroutine writes the active segment: it takes all waiting calls into one
// transaction and answers them after its commit. Another one collects outcomes
// for older segments for some milliseconds and commits them segment by segment.
// A third seals. The two latter share each old segment's one writing connection
// under its lock. A fourth moves the active segment's log into its file, so that
// the writer has little of that to do (checkpoint.go). Below SQLite, writeBack
// joins writes of neighbouring pages (writeback.go).
//
// After a failed commit the connection is replaced, and a transaction of our own
// is committed over whatever the failed one left in the write-ahead log, before
// anybody is told that it failed. If that is not possible either, the answer is
// store.ErrUnknown.
package sqlite
