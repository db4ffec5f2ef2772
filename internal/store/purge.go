package store

import (
	"context"

	"grapnel/internal/hook"
)

// Purger takes what events have carried out of the store.
type Purger interface {
	// Purge overwrites all that events have carried, and what was sent and answered
	// for them: their data becomes hook.PurgedData; key, ordering key, previous, metadata
	// and fingerprint go, and so do kept bodies and the details of attempts. What
	// stays says that there was an event: its id, type and time, whom it went to, and when and
	// with what status. Then the files that held it are written anew, so that its
	// bytes are in none of them, nor in those of what was configured before. Requests of
	// Append in the scope q.Scope are forgotten. Whoever calls sees to it that none of
	// the deliveries is being sent. Done again it changes nothing.
	Purge(ctx context.Context, q PurgeQuery) (Purged, error)
}

// PurgeQuery says what to purge. Events that are not there any more are no error.
type PurgeQuery struct {
	Events []hook.EventID
	Scope  string // of requests; "": none
	// Tenant, if not 0, is whose events that were published in the database and not
	// taken into the log go too.
	Tenant hook.TenantNum
}

// Purged counts what was overwritten or removed.
type Purged struct {
	Events, Attempts, Bodies, Requests int64
	Files                              int // segments or partitions that were written anew
}
