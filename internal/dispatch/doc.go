// Package dispatch sends what was accepted: it holds the lanes, makes the
// attempts, and has their outcomes recorded.
//
// # The life of a delivery here
//
//	Offer ── room ──► window ─┐                      ┌─► recorded: delivered, failed, …
//	   └── no room ► (store) ─┴► pick ► attempt ► record
//	                   ▲  pager ▲                    └─► pending: retries, or (store)
//	                   └────────┴──────────────────────────────────┘
//
// Ingest offers every event right after it was stored. Each of its targets
// belongs to a lane, which is one endpoint's queue. If the lane has room, the
// delivery waits in its window, in memory. If not, it lies in the store alone,
// and a pager reads it back when the lane can use it. A retry is recorded with
// its due time by the outcome of the attempt before; a near one may wait in
// memory as well, a far one is read back when it is due.
//
// An event of many targets is handed out by a goroutine of its own, a few at a
// time, so that others do not wait for it; what comes later for one of its lanes
// takes its delivery along: see wide.go.
//
// A worker is a goroutine that makes one attempt after the other: it ends one,
// hands the outcome to the recorder, and picks the next delivery itself, under
// the one mutex. Tenants take turns, and a tenant's lanes do, and so do a
// lane's fresh deliveries with everything older. How many requests a lane may
// have running is decided by what its endpoint did with the last ones.
//
// The recorder stores outcomes in groups. Only when the store has said yes is a
// delivery forgotten here, or tried again. As long as the store cannot write
// nothing is sent; an outcome that it refuses is found out and replaced by one
// that says so, or its delivery is put aside.
//
// An endpoint that does not answer gets one probe at a time, further and
// further apart; what waits for it stays in the store. It is given up when the
// endpoint has been away, and the delivery has waited, for a whole schedule.
//
// Places for requests are bounded. When they get scarce, lanes and tenants that
// hold more than their part step aside: see share.
//
// Of the attempts that run only some may take the processor at once, until their
// request is out and the endpoint has not answered for a moment: see processor.go.
//
// When hosts that had answered all fail at once, it is our own way out that is
// broken: see outage. Then only probes go out, and nothing counts against
// endpoints or schedules until a host answers.
//
// Where an endpoint asks for order, deliveries that wait for each other go one
// after the other, each when the end of the one before is recorded: see order.go.
//
// What may be sent at all is said by a lease over partitions, which a Keeper holds;
// they come and go while the Dispatcher runs: see tenure.go. Where several nodes
// store events, it follows the log for what the others have stored: see tail.go.
//
// # Moving, and why nothing is lost or repeated by it
//
// A partition joins when its lanes have been listed, and the last event asked for,
// after the store had granted it. Take any event with a delivery in it.
//
//   - What was handed out here before the partition was gained, by Offer or by the
//     tail, was in the store before its lanes were listed, so the list covers it.
//   - What is handed out between the two is left in the store, in its lane's range.
//   - What is handed out later is taken into memory only if it is after the last
//     event that was asked for: so it was stored when nobody else could record
//     anything of it. Else it is left in the store, and a page finds out whether
//     there is something to do. To leave it there is right whatever happened.
//
// Whoever had the partition before records nothing more of it, for its token has
// changed. If it accepts an event that it takes for its own, that is in the log, and
// so found by the list or by the tail of who has the partition. An event that Offer
// and the tail both bring is handed out by the one who comes first, and passed over
// by the other: the tail knows how far it is, and what was offered ahead of it.
//
// Nothing that a lane may not have got yet is passed by: the floor and the marks stay
// at or before the horizon, ordered lanes send nothing beyond it, and what a page
// brings from there is left for the tail.
//
// A partition that is given up is released when nothing of it is in flight or
// unrecorded, so the next holder repeats nothing. If it is lost instead, each
// attempt in flight may be repeated once, and its outcome changes nothing.
//
// # Invariants under the mutex
//
//   - A delivery in memory is in exactly one of its lane's lists live, paged
//     and retrying, from when it is taken in until its outcome is recorded. It
//     is in window, backlog or retries as long as it waits for an attempt. One
//     that is put aside stays in its list, so that pages and progress know it.
//   - No delivery is in memory twice, nor in memory and picked from a page: what
//     a page brings is compared with the lists, and with what was recorded while
//     it was read. A page that was read while the lane gave deliveries back to
//     the store is thrown away.
//   - A fresh delivery that is not in memory has an event in its lane's range
//     from … to; a retry that is not in memory is due at its lane's storedAt or
//     later.
//   - A fresh delivery in memory is in the dispatcher's front, or its lane is
//     behind and counts it in apart. So the first one in front is the floor that
//     Checkpoint may tell, and a lane that is behind has its own mark.
//   - A wide event has a place of its own in front until all its lanes have it: a
//     mark, which is no delivery and has no lane. A lane never gets a delivery by
//     Offer before those that wide events of earlier ids have for it.
//   - What stands in for a delivery that is being cancelled keeps the floor or the
//     lane's mark back, as that would, from when its event is offered, or the lane
//     read beyond it, until its end is recorded.
//   - An attempt that counts as busy is running. It stops counting when it waits for
//     long, a moment after its request was out, or when it ends, whatever way;
//     finish sees to the last, and whatever ends it looks who may begin next.
//   - A lane is in its tenant's ring exactly while it can send now; else a timer,
//     a page, the end of a request or a change of its endpoint brings it back.
//     Every change of a lane ends in settle, which sees to that.
//   - In a lane whose endpoint asks for order, a delivery in a line that is not its
//     first, or whose event is not before all that the lane has in the store
//     alone, is in blocked instead of window, backlog and retries.
//   - What is in flight, or over and not recorded, is bounded; it is what could
//     be sent twice after a crash.
//   - A lane in memory is of a partition that is held. One that is gone is in no
//     list, and nothing that is under way of it is recorded or changes another's
//     state. Only a partition that has joined, and is not given up, has lanes that
//     are not holding; and only of those that have joined is progress told.
//
// Lock order: the dispatcher's mutex, then the recorder's or the directory's.
// Neither is held while the store, the network or a Manager is called.
package dispatch
