package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Purge says what to purge of a tenant: one of its fields.
type Purge struct {
	Everything bool            `json:"everything,omitempty"` // the whole tenant
	Events     []string        `json:"events,omitempty"`     // by their ids, or the publisher's own
	Filter     json.RawMessage `json:"filter,omitempty"`     // a condition tree, as an endpoint has one
}

// PurgeReceipt says what was purged, or with DryRun what would be.
type PurgeReceipt struct {
	Tenant    string    `json:"tenant"`
	At        time.Time `json:"at"`
	Selected  int       `json:"selected"` // events that were chosen
	Digest    string    `json:"digest"`   // SHA-256 of their ids, oldest first, a line each, in hex
	Events    int64     `json:"events"`   // that were overwritten; the others had been already
	Attempts  int64     `json:"attempts"`
	Bodies    int64     `json:"bodies"`
	Requests  int64     `json:"requests"`            // Idempotency-Keys that were forgotten
	Endpoints int       `json:"endpoints,omitempty"` // that went with the tenant
	Keys      int       `json:"keys,omitempty"`      // that went with the tenant
	Files     int       `json:"files"`               // that were written anew
	DryRun    bool      `json:"dry_run,omitempty"`   // nothing was done

	Meta Meta `json:"-"`
}

func (r *PurgeReceipt) noteMeta(h http.Header) { r.Meta.noteMeta(h) }

// Purge takes what events have carried out of the server's store, and writes its files
// anew, which takes its time. Done again it changes nothing. Backups still hold it.
func (c *Client) Purge(ctx context.Context, tenant string, what Purge, options ...Option) (*PurgeReceipt, error) {
	out := new(PurgeReceipt)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "purge"), options, what, out)
}
