package store

import (
	"context"
	"time"

	"grapnel/internal/hook"
)

// Inbox is an engine whose database takes events in by itself: applications put them
// in with transactions of their own, and nodes move them into the log. What Batch.Taken
// names leaves the inbox in the transaction of Append, once, whoever else tries.
type Inbox interface {
	// Rule tells the database what it is to check.
	Rule(ctx context.Context, r InboxRules) error

	// Waiting returns events that wait, if this node is to move some now: up to
	// q.Each of each tenant, in the order in which they came, the tenants in that of
	// their numbers. There may be more.
	Waiting(ctx context.Context, q InboxQuery) ([]*Waiting, error)

	// Backlog tells how much waits.
	Backlog(ctx context.Context) (InboxBacklog, error)

	// Rejected lists events that were not taken, the latest first.
	Rejected(ctx context.Context, q RejectedQuery) ([]*Rejected, error)

	// Untold returns up to limit rejected events that Told has not been called of.
	Untold(ctx context.Context, limit int) ([]*Rejected, error)

	// Told notes that the tenants of rejected events know of them.
	Told(ctx context.Context, places []InboxPlace) error
}

// InboxRules are what an application is told at once.
type InboxRules struct {
	MaxBytes int64         // that data, metadata and previous may have each
	Window   time.Duration // for which an id is known
}

// InboxQuery selects what waits.
type InboxQuery struct {
	Node  string           // who asks
	For   time.Duration    // how long no other node need look
	After hook.TenantNum   // only tenants with a higher number
	Skip  []hook.TenantNum // not these
	Limit int              // in all
	Each  int              // of a tenant
	Bytes int64            // about as many in all, and one event at least
}

// MaxBacklog is how many events that wait are counted.
const MaxBacklog = 100_000

// InboxBacklog is how much waits in the inbox.
type InboxBacklog struct {
	Waiting int64     // events, MaxBacklog where there are more
	Oldest  time.Time // when the oldest of those was published; zero: none waits
}

// InboxPlace is where an event is in the inbox.
type InboxPlace struct {
	Tenant hook.TenantNum
	N      int64 // ascends within a tenant in the order of the calls
}

// Waiting is an event in the inbox, as the application gave it. The texts are the
// application's own: SQL has checked only that JSON is JSON.
type Waiting struct {
	InboxPlace
	TenantID string    // "": there is no such tenant any more
	At       time.Time // when it was published
	Key      string
	Type     string
	Data     []byte
	Metadata []byte    // or nil
	Previous []byte    // or nil
	Time     time.Time // zero: not given
	Ordering string
	Suppress bool
}

// Taken is an event of the inbox that a batch deals with.
type Taken struct {
	InboxPlace
	Err *hook.Error // why it is kept as rejected; nil: it is taken, or known already
}

// Rejected is an event that an application published and that could not be taken.
type Rejected struct {
	Waiting
	RejectedAt time.Time
	Code       hook.Code
	Reason     string
}

// RejectedQuery selects rejected events.
type RejectedQuery struct {
	Tenant hook.TenantNum
	Key    string // "": all
	Before int64  // only those with a lower N; 0: no bound
	Limit  int
}
