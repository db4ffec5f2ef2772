package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Tenant is one customer account.
type Tenant struct {
	ID         string            `json:"id"`
	Number     int64             `json:"number"` // for vendors' contracts that show one
	Name       string            `json:"name"`
	Dialect    string            `json:"dialect"` // of endpoints that name none
	APIVersion string            `json:"api_version"`
	Settings   map[string]string `json:"settings"` // those of its dialects
	Programs   bool              `json:"programs"` // its own keys and portal links may write programs
	Operator   bool              `json:"operator"` // it is told what all tenants are told
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	Quota      *Quota            `json:"quota,omitempty"`      // its own; nil: what the server's settings say
	Connection *StoreConnection  `json:"connection,omitempty"` // while it is lost
	Secret     string            `json:"secret,omitempty"`     // where it was made or set just now

	Meta Meta `json:"-"`
}

func (t *Tenant) noteMeta(h http.Header) { t.Meta.noteMeta(h) }

// Quota is how much a tenant may publish. 0 is no limit, nil what the server's
// settings say.
type Quota struct {
	EventsPerSecond *float64 `json:"events_per_second,omitempty"` // accepted, over a while
	Pending         *int64   `json:"pending,omitempty"`           // deliveries that may wait
}

// QuotaInput is what can be set on a quota. Null is what the server's settings
// say.
type QuotaInput struct {
	EventsPerSecond Field[float64] `json:"events_per_second,omitzero"`
	Pending         Field[int64]   `json:"pending,omitzero"`
}

// TenantInput is what can be set on a tenant.
type TenantInput struct {
	Name       Field[string]            `json:"name,omitzero"`
	Dialect    Field[string]            `json:"dialect,omitzero"`
	Secret     Field[string]            `json:"secret,omitzero"` // the store-wide one of the tenant's dialect
	APIVersion Field[string]            `json:"api_version,omitzero"`
	Settings   Field[map[string]string] `json:"settings,omitzero"`
	Quota      Field[QuotaInput]        `json:"quota,omitzero"`
	Programs   Field[bool]              `json:"programs,omitzero"` // its own keys and portal links may write programs
	Operator   Field[bool]              `json:"operator,omitzero"` // it is told what all tenants are told
}

// Tenant gets a tenant.
func (c *Client) Tenant(ctx context.Context, id string, options ...Option) (*Tenant, error) {
	out := new(Tenant)
	return out, c.call(ctx, http.MethodGet, at("tenants", id), options, nil, out)
}

// Tenants lists the tenants that the key covers, by id.
func (c *Client) Tenants(ctx context.Context) iter.Seq2[*Tenant, error] {
	return list[Tenant](ctx, c, at("tenants"), nil)
}

// TenantPage gets one page of Tenants.
func (c *Client) TenantPage(ctx context.Context, where At, options ...Option) (*Page[Tenant], error) {
	return page[Tenant](ctx, c, at("tenants"), nil, where, options)
}

// PutTenant makes a tenant, or changes it if there is one of that id.
func (c *Client) PutTenant(ctx context.Context, id string, in TenantInput, options ...Option) (*Tenant, error) {
	out := new(Tenant)
	return out, c.call(ctx, http.MethodPut, at("tenants", id), options, in, out)
}

// Removal says how many things of each kind a deletion with DryRun would take.
// Without DryRun it is empty.
type Removal struct {
	Tenants    int `json:"tenants,omitempty"`
	Endpoints  int `json:"endpoints,omitempty"`
	EventTypes int `json:"event_types,omitempty"`
	Keys       int `json:"keys,omitempty"`
}

// DeleteTenant removes a tenant with its endpoints. With DryRun the answer says
// what would go.
func (c *Client) DeleteTenant(ctx context.Context, id string, options ...Option) (*Removal, error) {
	return c.remove(ctx, at("tenants", id), options)
}

func (c *Client) remove(ctx context.Context, segments []string, options []Option) (*Removal, error) {
	out := new(Removal)
	return out, c.call(ctx, http.MethodDelete, segments, options, nil, out)
}
