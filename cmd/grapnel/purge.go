package main

import (
	"encoding/json"
	"fmt"

	"grapnel/client"
)

type tenantsPurgeCmd struct {
	ID string `arg:"" name:"tenant" help:"The tenant's id."`
	destructive
	remote
}

// Help gives examples.
func (*tenantsPurgeCmd) Help() string {
	return `Deletes the tenant and takes out of the store what its events have carried, what was sent and answered for
them, its endpoints' addresses and its secrets: the files are written anew, so that the bytes are in none
of them. That there were events stays. Backups from before still hold everything.

Examples:

    grapnel tenants purge demo --dry-run
    grapnel tenants create passing && grapnel tenants purge passing --yes`
}

// Run purges.
func (c *tenantsPurgeCmd) Run(p *program) error {
	api, err := c.open(p)
	if err != nil {
		return err
	}
	return c.purge(p, api, c.ID, "purge the tenant "+c.ID+" with all that its events hold", client.Purge{Everything: true})
}

type eventsPurgeCmd struct {
	Events []string `arg:"" optional:"" name:"event" help:"Ids of events, or the publisher's own."`
	Filter string   `placeholder:"JSON" help:"Purge the events that satisfy a condition tree, as endpoints have one."`
	destructive
	scoped
}

// Help gives examples.
func (*eventsPurgeCmd) Help() string {
	return `Takes out of the store what the events have carried, such as what they hold of a person, and what was sent
and answered for them: the files are written anew, so that the bytes are in none of them. What waits of the
events is cancelled. That there were events stays. Backups from before still hold everything.

Examples:

    grapnel events purge --filter '{"field":"data.id","operator":"eq","value":"u_17"}' --dry-run
    grapnel events purge "$EVENT" --yes`
}

// Run purges.
func (c *eventsPurgeCmd) Run(p *program) error {
	what := client.Purge{Events: c.Events}
	if (len(c.Events) > 0) == (c.Filter != "") {
		return fail(exitUsage, "name events, or give --filter", "it takes either ids of events or a filter")
	}
	if c.Filter != "" {
		if what.Filter = json.RawMessage(c.Filter); !json.Valid(what.Filter) {
			return fail(exitUsage, `write it as {"field":"data.user.id","operator":"eq","value":"u_17"}`, "--filter is not JSON")
		}
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	return c.purge(p, api, tenant, "purge events of the tenant "+tenant, what)
}

// purge purges, after it was confirmed. what says it in words.
func (d destructive) purge(p *program, api *client.Client, tenant, what string, in client.Purge) error {
	if !d.DryRun {
		if err := p.confirm(what, d.Yes); err != nil {
			return err
		}
	}
	ctx, stop := untilSignal()
	defer stop()
	r, err := api.Purge(ctx, tenant, in, d.options()...)
	if err != nil {
		return err
	}
	if p.JSON {
		return p.object(r)
	}
	if r.DryRun {
		return p.printf("would %s: %s\n", plain(what), count(int64(r.Selected), "event"))
	}
	return p.fields(field{"tenant", r.Tenant}, field{"at", when(&r.At)}, field{"events", fmt.Sprintf("%d of %d", r.Events, r.Selected)}, field{"digest", r.Digest},
		field{"attempts", fmt.Sprint(r.Attempts)}, field{"bodies", fmt.Sprint(r.Bodies)}, field{"idempotency keys", fmt.Sprint(r.Requests)}, field{"files written anew", fmt.Sprint(r.Files)})
}
