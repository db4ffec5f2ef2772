package main

import (
	"context"

	"grapnel/client"
	"grapnel/internal/config"
)

type tenantsPortalLinkCmd struct {
	ID        string           `arg:"" name:"tenant" help:"The tenant's id."`
	ExpiresIn *config.Duration `placeholder:"TIME" help:"How long it holds, a day at most (default an hour)."`
	remote
}

// Help gives examples.
func (*tenantsPortalLinkCmd) Help() string {
	return `The token is a key for the tenant's people: they see and change the tenant's own endpoints, and
see, redeliver and replay its deliveries, and nothing else. It ends at its time, when the key that
made it is revoked, or with tenants end-portal-links.

Examples:

    grapnel tenants portal-link demo
    grapnel tenants portal-link demo --expires-in 15m --json`
}

// Run makes one.
func (c *tenantsPortalLinkCmd) Run(p *program) error {
	var in client.PortalLinkInput
	if c.ExpiresIn != nil {
		in.ExpiresIn = client.Set(client.Duration(*c.ExpiresIn))
	}
	return one(p, &c.remote, func(ctx context.Context, api *client.Client) (*client.PortalLink, error) {
		return api.CreatePortalLink(ctx, c.ID, in)
	}, p.portalLink)
}

func (p *program) portalLink(l *client.PortalLink) error {
	if p.JSON {
		return p.object(l)
	}
	p.note("the token is shown this once: keep it")
	return p.fields(field{"id", l.ID}, field{"tenant", l.Tenant}, field{"expires", when(&l.ExpiresAt)}, field{"token", l.Token})
}

type tenantsEndPortalLinksCmd struct {
	ID string `arg:"" name:"tenant" help:"The tenant's id."`
	remote
}

// Help gives examples.
func (*tenantsEndPortalLinksCmd) Help() string {
	return `Ends those that were made so far. Others can be made at once.

Examples:

    grapnel tenants end-portal-links demo
    grapnel tenants end-portal-links "$TENANT" --json`
}

// endedLinks says whose links were ended.
type endedLinks struct {
	Tenant string `json:"portal_links_ended"`
}

// Run ends them.
func (c *tenantsEndPortalLinksCmd) Run(p *program) error {
	return one(p, &c.remote, func(ctx context.Context, api *client.Client) (*endedLinks, error) {
		return &endedLinks{c.ID}, api.EndPortalLinks(ctx, c.ID)
	}, func(e *endedLinks) error {
		if p.JSON {
			return p.object(e)
		}
		return p.printf("ended all portal links of %s\n", e.Tenant)
	})
}
