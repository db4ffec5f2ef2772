package store

import (
	"context"
	"errors"
	"io"
	"time"

	"grapnel/internal/hook"
)

// Errors that callers branch on. Engines wrap them with what they know.
var (
	// ErrNotFound: there is no such event or delivery, or not any more.
	ErrNotFound = errors.New("not found")
	// ErrLeaseLost: a partition is not held, or not under that token any more;
	// nothing was changed.
	ErrLeaseLost = errors.New("lease lost")
	// ErrKeyTaken: a key of the batch came into use since it was looked up;
	// nothing was stored. Look up again.
	ErrKeyTaken = errors.New("key taken")
	// ErrTooManyKeys: as many requests of one scope are remembered as may be;
	// nothing was stored.
	ErrTooManyKeys = errors.New("too many idempotency keys")
	// ErrTaken: an event of the batch has left the inbox already; nothing was stored.
	ErrTaken = errors.New("taken out of the inbox")
	// ErrStale: the configuration has moved past the revision that the call was
	// based on; nothing was stored. Reload and try again.
	ErrStale = errors.New("configuration revision is stale")
	// ErrUnknown: a commit failed in a way that leaves open whether it took
	// place. The engine finds out before it answers the next call.
	ErrUnknown = errors.New("commit outcome unknown")
	// ErrUnfit: an event's content is of a kind or size that the engine cannot keep,
	// whenever it is tried; nothing was stored.
	ErrUnfit = errors.New("cannot be stored as it is")
	// ErrFull: there is no room to write to. Reading goes on; writing comes back
	// by itself when there is room.
	ErrFull = errors.New("storage full")
	// ErrUnavailable: the store cannot write or be reached just now.
	ErrUnavailable = errors.New("store unavailable")
	// ErrLocked: another process owns the store. The message names it.
	ErrLocked = errors.New("store is in use")
	// ErrNewer: the store was written by a newer version of the program.
	ErrNewer = errors.New("store has a newer schema")
	// ErrBackupRunning: one backup at a time.
	ErrBackupRunning = errors.New("a backup is being made already")
	// ErrClosed: Close has been called.
	ErrClosed = errors.New("store is closed")
)

// Partitions is the fixed number of partitions that lanes are spread over.
const Partitions = 64

// PartitionOf is the partition of an endpoint's lane.
func PartitionOf(endpoint hook.EndpointNum) int {
	// Fibonacci hashing: consecutive numbers spread evenly.
	return int(uint64(endpoint) * 0x9e3779b97f4a7c15 >> 58)
}

// Store is what an engine provides. All methods may be called from many
// goroutines at once.
type Store interface {
	Configurator
	Leaser
	Log
	Purger
	Queue
	Reader
	Upkeeper

	// Close flushes and lets go of everything. It waits for running calls.
	Close() error
}

// Configurator keeps what people configure.
type Configurator interface {
	// Configure stores a change in one transaction and returns the new revision:
	// the one before and 1, so that a change with a Base leads to Base+1, which
	// what is kept of the past says of itself (hook.Past).
	// It gives tenants and endpoints whose Num is 0 their number, in place.
	// If c.Base is not 0 and not the present revision, it returns ErrStale; if one
	// of c.Requests is remembered already, ErrKeyTaken; if MaxRequests of its scope
	// are, ErrTooManyKeys.
	Configure(ctx context.Context, c *Change) (revision int64, err error)

	// Configuration returns all that changed after the revision since (0: all
	// there is, tombstones included), in the state of one moment.
	Configuration(ctx context.Context, since int64) (*Configuration, error)

	// Remembered finds a request that Configure stored, made at or after since;
	// nil if there is none. Those of Append are not looked at: see Known. The
	// error is ErrTooManyKeys where there is none, and Configure would have no
	// room for it.
	Remembered(ctx context.Context, key RequestKey, since time.Time) (*Request, error)
}

// Loader is a Configurator that gives a large configuration in pieces.
type Loader interface {
	// LoadConfiguration calls each with the pieces of what Configuration(ctx, 0)
	// would return, in the state of one moment: all tenants before the first
	// endpoint, each kind in the order that Configuration has. Every piece has the
	// Revision. each must not call the store.
	LoadConfiguration(ctx context.Context, each func(*Configuration) error) error
}

// MaxRequests is how many requests of one scope, none older than the idempotency
// window, Configure remembers.
const MaxRequests = 10_000

// BaseEmpty is the Base of a change that is made from an empty configuration.
const BaseEmpty = -1

// Change is a set of records to store as they are: new ones, changed ones, and
// deleted ones (Deleted set) as tombstones.
type Change struct {
	Base      int64 // revision that the change was made from, or BaseEmpty; 0: any
	Tenants   []*hook.Tenant
	Endpoints []*hook.Endpoint
	Types     []*hook.EventType
	Keys      []*hook.Key
	Replays   []*hook.Replay
	Pinned    []*hook.Pinned // never deleted
	// Note says that the change is of records that are there already, and that
	// nobody acts on what is new in them: it leaves the revision as it is. It
	// holds only Keys and Replays, and a Base.
	Note bool
	// Lease, if set, is what the change is made under: ErrLeaseLost if one of its
	// partitions is not held under its token any more. An engine with one process
	// does not ask.
	Lease *Lease
	// Requests are remembered together with the change, for the idempotency
	// window at least. A change that holds nothing else leaves the revision as it
	// is.
	Requests []*Request
	// Audit are entries of the audit log that are stored together with the change. A
	// change that holds nothing else leaves the revision as it is.
	Audit []*hook.AuditEntry
	// Complete, if set, is called in the transaction once the records have their
	// numbers, to fill in Requests. If it fails, nothing is stored.
	Complete func() error
}

// Configuration is what a Change leaves, with the revision it leads to.
type Configuration struct {
	Revision  int64
	Tenants   []*hook.Tenant
	Endpoints []*hook.Endpoint
	Types     []*hook.EventType
	Keys      []*hook.Key
	Replays   []*hook.Replay
	Pinned    []*hook.Pinned
}

// Log takes events in.
type Log interface {
	// Known looks keys up that were stored at or after since. Results stand in
	// the order of the question, nil for what is not known.
	Known(ctx context.Context, q KnownQuery) (Known, error)

	// Append stores events, with their targets, and idempotency records in one
	// transaction; one caller at a time. Ids must ascend. They are proposals: where
	// they are not above the highest one stored, an engine that many nodes write to
	// raises the Seq of all of them by the same number, so that they are, and lowers
	// what is from the future by the store's clock; one with a single writer refuses
	// them. Append sets ID and Number of each event, and Raised of each request. The slices it is given may be read until it returns, and the
	// events' contents are never changed by anyone.
	Append(ctx context.Context, b *Batch) error

	// Resolve tells, after an Append that returned ErrUnknown, whether the batch was
	// stored, and then sets what Append sets; or it fails while that cannot be found
	// out. What it says was not stored never will be. No other Append may come
	// between.
	Resolve(ctx context.Context, b *Batch) (stored bool, err error)

	// LastEvent is the highest event id ever stored, zero if there is none.
	LastEvent(ctx context.Context) (hook.EventID, error)
}

// Batch is what Append stores at once.
type Batch struct {
	Revision int64 // of the configuration that the events were matched with; ErrStale if an engine knows a newer one
	Events   []*hook.Event
	Requests []*Request
	Taken    []Taken // what leaves the inbox with it; ErrTaken if some of it has left. Only an Inbox gives any
}

// EventKey is a caller's own id of an event: unique in its tenant.
type EventKey struct {
	Tenant hook.TenantNum
	Key    string
}

// RequestKey is an Idempotency-Key with who sent it: unique in its scope.
type RequestKey struct{ Scope, Key string }

// Request remembers a request that carried an Idempotency-Key.
type Request struct {
	RequestKey
	At          time.Time
	Fingerprint [32]byte // SHA-256 of what was asked
	Answer      []byte   // what the caller was told, in ingest's own form
	// Raised is by how much Append raised the Seq of the events that came in the same
	// batch, or lowered it if it is negative: ids of theirs in Answer are as they were proposed.
	Raised int64
}

// KnownQuery asks for keys.
type KnownQuery struct {
	Since    time.Time
	Events   []EventKey
	Requests []RequestKey
}

// Known answers a KnownQuery.
type Known struct {
	Events   []*KnownEvent
	Requests []*Request
}

// KnownEvent is an event that has a key already.
type KnownEvent struct {
	ID          hook.EventID
	Fingerprint [16]byte
	Targets     []hook.Target
}

// Queue is the log as dispatch sees it: lanes with work.
type Queue interface {
	// Lanes lists the lanes under the lease that have work, at start or when its
	// partitions were gained, and every lane of theirs that Checkpoint left a mark
	// of, so that marks out of date are found and ended. Its cost grows with the
	// number of these lanes, not with their length. ErrLeaseLost: as of Record.
	Lanes(ctx context.Context, l Lease) ([]Lane, error)

	// Fresh returns up to q.Limit fresh deliveries of a lane, oldest first.
	Fresh(ctx context.Context, q FreshQuery) (FreshPage, error)

	// Retries returns up to limit recorded pending deliveries of a lane that are
	// due at or before until, earliest first, and when the one after them is
	// due (zero: there is none).
	Retries(ctx context.Context, endpoint hook.EndpointNum, until time.Time, limit int) (due []*Work, next time.Time, err error)

	// Pending returns up to limit recorded pending deliveries of a lane, of events
	// from ≤ id, whenever they are due, those of the oldest events first.
	Pending(ctx context.Context, endpoint hook.EndpointNum, from hook.EventID, limit int) (FreshPage, error)

	// Record stores outcomes in one transaction for each place that they live
	// in; outcomes of one delivery must come in order. An outcome whose attempt
	// number is recorded already, or that would take a delivery out of a
	// terminal state, or whose event is not there any more, changes nothing and
	// is no error. One whose Base is lower than the delivery's is from before a
	// redelivery: its attempt, if it has one, is added, and unless it says
	// Delivered the delivery stays pending as the redelivery left it.
	// ErrLeaseLost: none was stored, for one of them is of a partition that l does
	// not hold, or not under the token that it has now. The caller asks Renew what
	// it holds, drops what it does not, and records the rest.
	Record(ctx context.Context, l Lease, outcomes []*Outcome) error

	// Redeliver makes a recorded delivery pending and due at now, whatever its
	// state, as the named exception to "terminal is terminal". Its schedule
	// begins anew. ErrNotFound without such an event or target,
	// and if it is another tenant's. A fresh delivery
	// is left as it is, for it will be sent anyway, unless its target's
	// disposition says otherwise: then it becomes pending too.
	Redeliver(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey, now time.Time) error

	// Checkpoint keeps the progress of the lease's partitions for whoever holds
	// them next. What it says of other partitions stays as it is. ErrLeaseLost: as
	// of Record.
	Checkpoint(ctx context.Context, l Lease, p Progress) error
}

// Lane is a lane that has work.
type Lane struct {
	Endpoint hook.EndpointNum
	Fresh    hook.EventID // where to look for fresh deliveries from; zero: there are none
	NextAt   time.Time    // when the first recorded pending delivery is due; zero: there is none
	Waiting  int64        // about how many deliveries wait, recorded ones or fresh; mostly too high if anything
}

// FreshQuery asks for fresh deliveries of events From ≤ id < Before.
type FreshQuery struct {
	Endpoint hook.EndpointNum
	From     hook.EventID
	Before   hook.EventID // zero: no bound
	Limit    int
}

// FreshPage is a page of deliveries, oldest events first. Next is where the following page
// begins; zero when there is none. A page may be empty and still have a Next.
type FreshPage struct {
	Work []*Work
	Next hook.EventID
}

// Work is a delivery with all that an attempt needs from the store.
type Work struct {
	Event    *hook.Event
	Endpoint hook.EndpointNum
	Attempts int       // recorded so far
	Base     int       // Attempts when its schedule began: 0, or as it was at the last redelivery
	FirstAt  time.Time // when the first attempt of this schedule began; zero before
	NextAt   time.Time // when it is due; zero: at once
	Body     []byte    // as sent before; nil before the first attempt
	Trigger  hook.Trigger
}

// Key names the delivery.
func (w *Work) Key() hook.DeliveryKey {
	return hook.DeliveryKey{Event: w.Event.ID, Endpoint: w.Endpoint}
}

// Outcome is a change of a delivery's state, mostly by an attempt.
type Outcome struct {
	Key     hook.DeliveryKey
	Attempt *hook.Attempt // nil: no request was made
	At      time.Time
	State   hook.DeliveryState
	Reason  string
	NextAt  time.Time // when due again, if State is Pending
	FirstAt time.Time // when this schedule's first attempt began
	Base    int       // as in Work
	Body    []byte    // the body to keep for the next attempts; nil: it is kept already, or not needed
}

// Progress says how far dispatch is in the partitions of the lease that it is
// told under: all deliveries of their lanes, of events before Floor, are recorded,
// but for lanes that are behind, each from its own mark on. So a floor belongs to
// a partition, and moves with it; an engine on which one lease is over all of them
// keeps one.
type Progress struct {
	Floor    hook.EventID
	Behind   []LaneMark         // lanes that are behind now, new or moved since the last call
	CaughtUp []hook.EndpointNum // lanes that are not behind any more
}

// LaneMark says that a lane's deliveries of events before From are recorded.
type LaneMark struct {
	Endpoint hook.EndpointNum
	From     hook.EventID
}

// Reader answers people's questions about the log. Each names the tenant that it
// is asked for: what is another's is not there. hook.AllTenants stands for all.
type Reader interface {
	Auditor

	// Event returns one event. ErrNotFound if it is not there, or another
	// tenant's.
	Event(ctx context.Context, tenant hook.TenantNum, id hook.EventID) (*hook.Event, error)

	// EventByKey finds an event by the caller's own id, among those accepted at
	// or after since.
	EventByKey(ctx context.Context, key EventKey, since time.Time) (*hook.Event, error)

	// Events lists events, newest first, or oldest first if q.Oldest.
	Events(ctx context.Context, q EventQuery) (EventPage, error)

	// Deliveries lists deliveries, those of the newest events first, then by
	// endpoint number, highest first; if q.Oldest, the other way round.
	Deliveries(ctx context.Context, q DeliveryQuery) (DeliveryPage, error)

	// Delivery returns one delivery. ErrNotFound as Event.
	Delivery(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey) (*hook.Delivery, error)

	// Attempts lists a delivery's attempts, oldest first; none of a delivery that is
	// not there, or another tenant's.
	Attempts(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey) ([]*hook.Attempt, error)
}

// EventQuery selects events.
type EventQuery struct {
	Tenant       hook.TenantNum
	Type         string       // "": all
	Since, Until time.Time    // of acceptance, Since ≤ t < Until; zero: no bound
	Before       hook.EventID // only ids below; zero: no bound
	After        hook.EventID // only ids above; zero: no bound
	Oldest       bool         // oldest first
	Limit        int
}

// EventPage is a page of events. Next, if not zero, is the Before of the
// following page, or its After if the oldest come first; a page may hold fewer
// than asked for and still have a Next.
type EventPage struct {
	Events []*hook.Event
	Next   hook.EventID
	// Seen says how far a page with the oldest first has looked: as the After of a
	// later call it finds what the query selects of all that came since, and
	// nothing twice. It is never below the query's After.
	Seen hook.EventID
}

// DeliveryQuery selects deliveries. A fresh delivery counts as Pending, or as
// Cancelled where its target's disposition is not Deliver.
type DeliveryQuery struct {
	Tenant       hook.TenantNum
	Endpoint     hook.EndpointNum // 0: all
	Event        hook.EventID     // zero: all
	Type         string           // "": all
	States       []hook.DeliveryState
	Since, Until time.Time        // of the event's acceptance
	Before       hook.DeliveryKey // only older events' and, of the same event, those with lower endpoint numbers (Endpoint 0: all of it); zero: no bound
	After        hook.DeliveryKey // only newer events' and, of the same event, those with higher endpoint numbers; zero: no bound
	Oldest       bool             // oldest first
	Limit        int
}

// DeliveryPage is a page of deliveries. Next, if not zero, is the Before of the
// following page, or its After if the oldest come first.
type DeliveryPage struct {
	Deliveries []*hook.Delivery
	Next       hook.DeliveryKey
}

// Backuper is an engine that can copy itself while it is in use.
type Backuper interface {
	// Backup writes a copy of the store to w, as one stream that says at its end
	// that it is complete. Every event up to BackupInfo.Mark is in it, and every
	// outcome that was recorded before the call. ErrBackupRunning: another call is
	// at it.
	Backup(ctx context.Context, w io.Writer, q BackupQuery) (BackupInfo, error)
}

// BackupQuery says what a backup holds.
type BackupQuery struct {
	At      time.Time // what it is dated
	Program string    // version of the program that makes it
	KeyFile string    // the file with the key that secrets are sealed with, to go with it; "": without
	// Progress, if not nil, is told how many of about so many bytes are written.
	Progress func(done, total int64)
}

// BackupInfo says what a backup holds.
type BackupInfo struct {
	Mark    hook.EventID // every event up to it is there; zero: there were none
	Files   int
	Bytes   int64 // of the files
	WithKey bool  // whoever has it can read the secrets in it
}

// Upkeeper keeps the store small and tells how it is.
type Upkeeper interface {
	// Prune removes events accepted before q.Before, with all that belongs to
	// them, in units of the engine's own. A unit with deliveries that can still
	// be sent stays; deliveries of inactive endpoints, and those held, end with
	// it as expired. Tombstones of replays that ended before q.Before go too, and
	// requests that Configure stored before q.Requests, and entries of the audit log
	// from before q.Audit. If the log is larger than
	// q.Bytes then, the oldest of the units that may go are removed until it is not,
	// whatever the age of their events; the newest ones, which are still written to,
	// never are.
	Prune(ctx context.Context, q PruneQuery) (Pruned, error)

	// Stats tells how the store is. It is cheap enough to be asked every second.
	Stats(ctx context.Context) (Stats, error)
}

// PruneQuery says what may go.
type PruneQuery struct {
	Before   time.Time                   // zero: no age is too old
	Bytes    int64                       // that the log may take on the disk; 0: any number
	Requests time.Time                   // zero: Before
	Audit    time.Time                   // entries of the audit log from before go; zero: none
	Inactive func(hook.EndpointNum) bool // endpoints that get nothing now
	DryRun   bool                        // say what would go, and change nothing
}

// Pruned says what went.
type Pruned struct {
	Units   int // segments or partitions removed
	Events  int64
	Expired map[hook.EndpointNum]int64 // deliveries that ended without having been sent
	Over    int64                      // bytes by which the log is still larger than it may be
	Pinned  int                        // units that would have had to go for that, but have deliveries that can still be sent
}

// Stats tells how the store is.
type Stats struct {
	Engine     string // "sqlite 3.53.4"
	Durability string // what a commit waits for, in words
	Events     int64
	Units      int   // segments or partitions
	Bytes      int64 // on disk
	Oldest     time.Time
	Expired    int64 // deliveries expired by retention since the beginning
	Writable   bool
	Problem    string // why it is not writable
}
