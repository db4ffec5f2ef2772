// Package sqlite is the embedded store: a folder of SQLite files that one
// process owns.
//
//	lock                who holds the folder
//	reserve             room for removing things when there is none else
//	control.db          configuration, lane marks, what retention removed
//	backup.tmp          copies that a backup is about to write
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
// # Starting, and reading what waits
//
// Nothing that a start reads grows with the number of deliveries that wait. The
// memory of the newest segment is rebuilt. Of a sealed one it reads the filters,
// the lanes with pending rows from one lane to the next, and the list of all its
// lanes with how many deliveries each has (counts.go), which says about how much
// waits. Above the floor it looks at maxLanesScan events; lanes that have anything
// later begin there, and their pages find out what of it is recorded.
//
// A page (fresh.go) goes through the entries of by_endpoint, or of the memory, and
// holds them against the attempts, the rows of deliveries and the events. These
// are in the same order, so that followers (follow.go) step from one to the next,
// or look up what is far away. Where nothing is recorded from the lane's place on,
// which is usual behind a mark, that is one look-up for the whole page. Events with
// several targets are kept for the lanes that ask next (shared.go). A page ends
// after a few segments, and at a segment's end once it is full: the next one begins
// in the first segment after it whose filter says that the lane may be there.
//
// Connections that read are kept open, maxIdle of them over all segments.
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
// Rows of events, and of attempts that are all that is kept of a delivery, are
// inserted sixteen with a statement (rows.go). What an attempt has in common with
// others, or with its event, is written as short codes (detail.go), and the data
// of events may be compressed (compress.go): of a delivered event, what it carries
// is most of what is written.
//
// After a failed commit the connection is replaced, and a transaction of our own
// is committed over whatever the failed one left in the write-ahead log, before
// anybody is told that it failed. If that is not possible either, the answer is
// store.ErrUnknown.
//
// # Backups
//
// There is no moment at which all files could be copied together, so a backup
// relies on the order in which they are:
//
//   - First of all the mark is taken, which is the last event there is, and the
//     progress: the floor and the lanes' marks. Progress is a lower bound. Taken
//     before anything is copied it stays one, for whatever it says is recorded
//     was recorded in a segment that is copied later. Taken later it could speak
//     of outcomes that the copy of a segment lacks, and their deliveries would
//     never be looked for again.
//   - Then the segments, oldest first, each in one read transaction. The list of
//     them is taken after the mark, and an event is in the list's segments before
//     it is acknowledged, so all up to the mark are copied. Events that come
//     later may be in the copy of the segment that was active, or in none: what is
//     copied is always the log up to some event. Outcomes may reach a segment
//     after its copy; their deliveries are then sent again by the restored store,
//     as they are after a crash before an outcome is recorded. Those that were
//     recorded before the backup began are in the copies.
//   - Last comes control.db, so that the configuration is at least as new as any
//     event, and everything that an event names is there. The progress in the
//     copy is replaced by the one that was taken first.
//
// Segments may be cut and sealed meanwhile: the copy of one that is half sealed
// is sealed again when it is opened. Retention removes none until the backup is
// over. Each copy is made beside the store and removed when it is written, so that
// the room needed is that of the largest file; SQLite's backup interface copies
// page by page, and commits go on between any two pages.
//
// A backup is a tar stream: the files, then a manifest with the size and SHA-256
// of each. A stream without the manifest was cut short. Restoring checks all of
// it before anything has its place, and puts control.db there last.
package sqlite
