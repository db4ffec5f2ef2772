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
//
// Lock order: the dispatcher's mutex, then the recorder's or the directory's.
// Neither is held while the store, the network or a Manager is called.
package dispatch
