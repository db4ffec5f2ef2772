package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// Tenant is one customer account.
type Tenant struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Dialect string `json:"dialect"`
}

// TenantInput is what can be set on a tenant. A nil field is left as it is.
type TenantInput struct {
	Name    *string `json:"name,omitempty"`
	Dialect *string `json:"dialect,omitempty"`
}

// PutTenant makes a tenant, or changes it if there is one of that id.
func (c *Client) PutTenant(ctx context.Context, id string, in TenantInput) (*Tenant, error) {
	out := new(Tenant)
	return out, c.call(ctx, http.MethodPut, path("tenants", id), nil, in, out)
}

// Endpoint is a customer's URL. Secret is shown by CreateEndpoint alone.
type Endpoint struct {
	ID          string   `json:"id"`
	URL         string   `json:"url"`
	EventTypes  []string `json:"event_types"`
	Dialect     string   `json:"dialect"`
	Description string   `json:"description"`
	State       string   `json:"state"` // active, paused or disabled
	Secret      string   `json:"secret,omitempty"`
}

// EndpointInput is what can be set on an endpoint. A nil field is left as it
// is, or at its default.
type EndpointInput struct {
	URL         *string  `json:"url,omitempty"`
	EventTypes  []string `json:"event_types,omitempty"`
	Dialect     *string  `json:"dialect,omitempty"`
	Secret      *string  `json:"secret,omitempty"`
	Description *string  `json:"description,omitempty"`
	State       *string  `json:"state,omitempty"` // active or paused; not at creation
}

// CreateEndpoint makes an endpoint. Its answer is the only one that holds the
// signing secret.
func (c *Client) CreateEndpoint(ctx context.Context, tenant string, in EndpointInput) (*Endpoint, error) {
	out := new(Endpoint)
	return out, c.call(ctx, http.MethodPost, path("tenants", tenant, "endpoints"), nil, in, out)
}

// UpdateEndpoint changes an endpoint.
func (c *Client) UpdateEndpoint(ctx context.Context, tenant, id string, in EndpointInput) (*Endpoint, error) {
	out := new(Endpoint)
	return out, c.call(ctx, http.MethodPatch, path("tenants", tenant, "endpoints", id), nil, in, out)
}

// Endpoints lists a tenant's endpoints.
func (c *Client) Endpoints(ctx context.Context, tenant string) iter.Seq2[*Endpoint, error] {
	return list[Endpoint](ctx, c, path("tenants", tenant, "endpoints"), url.Values{})
}
