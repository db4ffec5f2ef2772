package main

import (
	"context"
	"iter"

	"grapnel/client"
)

type eventsRejectedCmd struct {
	ID string `arg:"" optional:"" name:"id" help:"What grapnel.publish returned: show what was rejected under this id, with its data."`
	scoped
	limited
}

// Help gives examples.
func (*eventsRejectedCmd) Help() string {
	return `Lists events that applications published in the database, inside their own transactions, and that
turned out not to be events when they were taken into the log: latest first, with the reason.
Nothing of them was sent, and the id is free: publish again what has been put right.

Examples:

    grapnel events rejected
    grapnel events rejected --limit 5 --json`
}

var rejectedView = view[client.RejectedEvent]{
	header: []string{"ID", "TYPE", "PUBLISHED", "REJECTED", "CODE", "REASON"},
	cells: func(r *client.RejectedEvent) []string {
		return []string{r.ID, r.Type, when(&r.PublishedAt), when(&r.RejectedAt), r.Code, r.Reason}
	},
}

// Run lists, or shows.
func (c *eventsRejectedCmd) Run(p *program) error {
	if c.ID == "" {
		return listOf(p, &c.scoped, c.limited, rejectedView, func(ctx context.Context, api *client.Client, tenant string) iter.Seq2[*client.RejectedEvent, error] {
			return api.RejectedEvents(ctx, tenant, client.RejectedFilter{})
		})
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	// One id may have been rejected several times: the latest says how it is.
	for r, err := range api.RejectedEvents(ctx, tenant, client.RejectedFilter{ID: c.ID}) {
		if err != nil {
			return err
		}
		if p.JSON {
			return p.object(r)
		}
		return p.rejected(r)
	}
	return fail(exitNotFound, "list them all: grapnel events rejected", "no event of tenant %s was rejected under the id %s", tenant, c.ID)
}

func (p *program) rejected(r *client.RejectedEvent) error {
	err := p.fields(field{"id", r.ID}, field{"tenant", r.Tenant}, field{"type", r.Type}, field{"time", when(r.Time)}, field{"published", when(&r.PublishedAt)},
		field{"rejected", when(&r.RejectedAt)}, field{"code", r.Code}, field{"reason", r.Reason})
	if err != nil {
		return err
	}
	return p.body("Data", &client.Body{Text: r.Data}, false)
}
