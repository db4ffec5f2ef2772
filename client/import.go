package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// MaxImport is how many records one call of Import takes.
const MaxImport = 1000

// The kinds of an ImportRecord, and what can become of one.
const (
	KindHook   = "hook"
	KindTenant = "tenant"
	KindKey    = "key"

	ImportCreated   = "created"
	ImportUpdated   = "updated"
	ImportUnchanged = "unchanged" // it was there just so
	ImportRefused   = "refused"
)

// ImportRecord is a tenant, a key or a hook as it is elsewhere. A field that is
// left out leaves things as they are.
type ImportRecord struct {
	Kind   string `json:"kind,omitempty"` // "": a hook
	Tenant string `json:"tenant,omitempty"`

	Name       string            `json:"name,omitempty"` // of a tenant
	APIVersion string            `json:"api_version,omitempty"`
	Quota      Field[QuotaInput] `json:"quota,omitzero"`

	Tenants []string `json:"tenants,omitempty"` // of a key, instead of Tenant; {"*"}: all
	Scopes  []string `json:"scopes,omitempty"`  // of a key; none: manage
	Key     string   `json:"key,omitempty"`

	Dialect  string            `json:"dialect,omitempty"` // of a tenant or hook
	Secret   string            `json:"secret,omitempty"`
	Settings map[string]string `json:"settings,omitempty"`

	VendorID    string              `json:"vendor_id,omitempty"` // of a hook, by which it is found again
	URL         string              `json:"url,omitempty"`
	EventTypes  []string            `json:"event_types,omitempty"`
	State       string              `json:"state,omitempty"` // active, inactive, paused or disabled
	Description string              `json:"description,omitempty"`
	Fields      []string            `json:"fields,omitempty"`
	Filter      json.RawMessage     `json:"filter,omitempty"`
	Headers     Headers             `json:"headers,omitempty"`
	Auth        Field[EndpointAuth] `json:"auth,omitzero"`
	TLS         Field[TLSInput]     `json:"tls,omitzero"`
	Ordering    string              `json:"ordering,omitempty"`   // Unordered, ByKey or Strict
	SkipAfter   int                 `json:"skip_after,omitempty"` // failed attempts, then those behind a delivery go on
	CreatedAt   string              `json:"created_at,omitempty"` // RFC 3339
}

// Imported is what became of one record.
type Imported struct {
	Outcome  string `json:"outcome"`
	Kind     string `json:"kind,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	ID       string `json:"id,omitempty"` // of the endpoint or key
	VendorID string `json:"vendor_id,omitempty"`
	Field    string `json:"field,omitempty"` // JSON pointer to what is wrong with a refused one
	Message  string `json:"message,omitempty"`
}

// ImportReport is what became of the records, in order.
type ImportReport struct {
	Created   int        `json:"created"`
	Updated   int        `json:"updated"`
	Unchanged int        `json:"unchanged"`
	Refused   int        `json:"refused"`
	Results   []Imported `json:"results"`

	Meta Meta `json:"-"`
}

func (r *ImportReport) noteMeta(h http.Header) { r.Meta.noteMeta(h) }

// Import takes up to MaxImport records over. Those that are refused leave the
// others as they are. It is safe to repeat: the same records change nothing.
func (c *Client) Import(ctx context.Context, records []ImportRecord, options ...Option) (*ImportReport, error) {
	raw := make([]json.RawMessage, len(records))
	for i := range records {
		b, err := json.Marshal(&records[i])
		if err != nil {
			return nil, err
		}
		raw[i] = b
	}
	return c.ImportJSON(ctx, raw, options...)
}

// ImportJSON is Import for records that are JSON already.
func (c *Client) ImportJSON(ctx context.Context, records []json.RawMessage, options ...Option) (*ImportReport, error) {
	var body bytes.Buffer
	body.WriteByte('[')
	for i, r := range records {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(r)
	}
	body.WriteByte(']')
	r := newRequest(http.MethodPost, at("import"), append([]Option{safe(true)}, options...))
	r.body = body.Bytes()
	out := new(ImportReport)
	if err := c.send(ctx, r, out); err != nil {
		return nil, err
	}
	if len(out.Results) != len(records) {
		return nil, errors.New("the server's answer has another number of results than there were records")
	}
	return out, nil
}
