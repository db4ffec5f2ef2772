package store

import (
	"context"
	"time"

	"grapnel/internal/hook"
)

// Auditor lists what Configure has stored of Change.Audit. There is no call that
// changes an entry: they go by Prune alone.
type Auditor interface {
	// AuditLog lists entries, the latest first, or the oldest first if q.Oldest.
	AuditLog(ctx context.Context, q AuditQuery) (AuditPage, error)
}

// AuditQuery selects entries of the audit log.
type AuditQuery struct {
	Tenant        hook.TenantNum // AllTenants: all, those of no tenant included
	Since, Until  time.Time      // Since ≤ At < Until; zero: no bound
	Before, After int64          // only numbers below, or above; 0: no bound
	Oldest        bool           // oldest first
	Limit         int
}

// AuditPage is a page of the audit log. Next, if not 0, is the Before of the
// following page, or its After if the oldest come first.
type AuditPage struct {
	Entries []*hook.AuditEntry
	Next    int64
}

// Configures reports whether a change changes anything that is configured, rather
// than only adding Requests or Audit.
func (c *Change) Configures() bool {
	return len(c.Requests)+len(c.Audit) == 0 || len(c.Tenants)+len(c.Endpoints)+len(c.Types)+len(c.Keys)+len(c.Replays)+len(c.Pinned) > 0
}

// NumberAudit fills in whose entries of Audit are, where their tenant has got its
// number just now.
func (c *Change) NumberAudit() {
	for _, t := range c.Tenants {
		for _, e := range c.Audit {
			if e.TenantNum == 0 && e.Tenant == t.ID {
				e.TenantNum = t.Num
			}
		}
	}
}

// PageOfAudit makes a page of what was found, where one entry more than the limit
// was asked for.
func PageOfAudit(found []*hook.AuditEntry, limit int) AuditPage {
	p := AuditPage{Entries: found}
	if len(found) > limit {
		p.Entries = found[:limit]
		p.Next = found[limit-1].Num
	}
	return p
}
