package client

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// AuditEntry says who did what to what, and when. No secret is in it.
type AuditEntry struct {
	Number    int64         `json:"number"` // later entries have higher ones
	At        time.Time     `json:"at"`
	Actor     AuditActor    `json:"actor"`
	Action    string        `json:"action"`              // such as "endpoint.update"
	Operation string        `json:"operation,omitempty"` // what it was a part of, such as "import"
	Tenant    string        `json:"tenant,omitempty"`    // "": of the installation, or of several tenants
	Object    string        `json:"object,omitempty"`    // id or name of what it was done to
	Changes   []AuditChange `json:"changes"`
	Result    string        `json:"result"` // "done", or "asked" for what was begun then, or "failed"
}

// AuditActor is who did something.
type AuditActor struct {
	Kind     string `json:"kind"`               // "key", "vendor" for a key used on a vendor's management API, or "server"
	Key      string `json:"key,omitempty"`      // the key's id
	Name     string `json:"name,omitempty"`     // what people know the key by
	Contract string `json:"contract,omitempty"` // whose management API it was
	Address  string `json:"address,omitempty"`  // where the request came from
	Request  string `json:"request,omitempty"`  // the request's id
}

// AuditChange is a field that has changed. Values that could be secrets, or that
// people have written, are not told.
type AuditChange struct {
	Field  string          `json:"field"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// AuditFilter selects entries of the audit log.
type AuditFilter struct {
	Tenant       string    // "": of the whole installation, which takes an admin key
	Since, Until time.Time // Since ≤ At < Until; zero: no bound
}

func (f *AuditFilter) segments() []string {
	if f.Tenant == "" {
		return at("audit")
	}
	return at("tenants", f.Tenant, "audit")
}

// Audit lists who changed what, the latest first.
func (c *Client) Audit(ctx context.Context, f AuditFilter) iter.Seq2[*AuditEntry, error] {
	return list[AuditEntry](ctx, c, f.segments(), conditions(nil, map[string]time.Time{"since": f.Since, "until": f.Until}))
}

// AuditPage gets one page of Audit.
func (c *Client) AuditPage(ctx context.Context, f AuditFilter, where At, options ...Option) (*Page[AuditEntry], error) {
	return page[AuditEntry](ctx, c, f.segments(), conditions(nil, map[string]time.Time{"since": f.Since, "until": f.Until}), where, options)
}
