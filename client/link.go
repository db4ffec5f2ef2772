package client

import (
	"context"
	"net/http"
	"time"
)

// PortalLink is a credential for the people of one tenant: for the tenant's own
// endpoints and deliveries.
type PortalLink struct {
	ID        string    `json:"id"`
	Tenant    string    `json:"tenant"`
	Token     string    `json:"token"` // what to send as a key. It is not told again
	ExpiresAt time.Time `json:"expires_at"`

	Meta Meta `json:"-"`
}

func (l *PortalLink) noteMeta(h http.Header) { l.Meta.noteMeta(h) }

// PortalLinkInput is what a portal link is made from.
type PortalLinkInput struct {
	ExpiresIn Field[Duration] `json:"expires_in,omitzero"` // a day at most; not set: an hour
}

// CreatePortalLink makes a portal link. It ends at its time, with the key that makes
// it, and with EndPortalLinks.
func (c *Client) CreatePortalLink(ctx context.Context, tenant string, in PortalLinkInput, options ...Option) (*PortalLink, error) {
	out := new(PortalLink)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "portal-links"), options, in, out)
}

// EndPortalLinks ends all portal links of a tenant that were made so far.
func (c *Client) EndPortalLinks(ctx context.Context, tenant string, options ...Option) error {
	return c.call(ctx, http.MethodDelete, at("tenants", tenant, "portal-links"), options, nil, nil)
}
