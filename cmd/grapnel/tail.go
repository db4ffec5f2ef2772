package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"grapnel/client"
)

type tailCmd struct {
	Tenant   string   `env:"GRAPNEL_TENANT" placeholder:"ID" help:"Only this tenant's; without it, those of all tenants that the key covers."`
	Endpoint string   `placeholder:"ID" help:"Only those to this endpoint."`
	Type     string   `placeholder:"NAME" help:"Only those of this event type."`
	State    []string `enum:"pending,held,delivered,failed,cancelled" placeholder:"STATES" help:"Only those that are then pending, held, delivered, failed or cancelled; several separated by commas."`
	Remote   remote   `embed:""`
}

// Help gives examples.
func (*tailCmd) Help() string {
	return `One line for each attempt, and for each other change of a delivery's state, as soon as it is
recorded: time, state, event type, endpoint, answer, attempt, how long it took, when it is tried
again. Changes from while the connection is broken are not shown; grapnel deliveries list has them.
It runs until it is interrupted, and ends with 130 then.

Examples:

    grapnel tail
    grapnel tail --tenant "$TENANT" --state failed,pending
    grapnel tail --endpoint "$ENDPOINT" --json`
}

// Run watches until a signal comes.
func (c *tailCmd) Run(p *program) error {
	api, err := c.Remote.open(p)
	if err != nil {
		return err
	}
	set, chosen, err := p.context()
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	tenant := p.prefer("tenant", c.Tenant, set.Tenant, chosen, "")
	p.note("watching deliveries%s", of(tenant))
	broken := false
	for change, err := range api.Live(ctx, client.LiveFilter{Tenant: tenant, Endpoint: c.Endpoint, Type: c.Type, States: c.State}) {
		switch {
		case err != nil:
			return interrupted(ctx, err)
		case change.Lost != nil && !broken:
			broken = true
			p.note("the connection broke: %v; until it stands again, changes are missing here", change.Lost)
		case change.Missed > 0:
			p.note("%d changes are missing here: they came faster than they were read", change.Missed)
		}
		if change.Delivery == nil {
			continue
		}
		if broken {
			broken = false
			p.note("the connection stands again")
		}
		if err := c.print(p, change.Delivery); err != nil {
			return err
		}
	}
	return nil
}

func of(tenant string) string {
	if tenant == "" {
		return " of all tenants that the key covers"
	}
	return " of " + tenant
}

// interrupted is how a command ends that runs until a signal comes.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return &failure{code: exitInterrupted}
	}
	return err
}

func (c *tailCmd) print(p *program, d *client.LiveDelivery) error {
	if p.JSON {
		return p.line(d)
	}
	at, answer, took := d.LastAt, lastAnswer(&d.Delivery), ""
	if a := d.Attempt; a != nil {
		at = &a.At
		took = span(time.Duration(a.DurationMS * float64(time.Millisecond)))
	}
	when := time.Now()
	if at != nil {
		when = *at
	}
	next := ""
	if d.NextAt != nil {
		next = "next " + relative(time.Until(*d.NextAt))
	}
	state := fmt.Sprintf("%-9s", plain(d.State))
	if color := stateColor(d.State); color != "" {
		state = paint(p.colors(p.stdout), color, state)
	}
	line := fmt.Sprintf("%s  %s  %-24s  %-29s  %-8s  #%-3d  %-8s  %s",
		when.Local().Format("15:04:05.000"), state, plain(d.Type), plain(d.Endpoint), plain(answer), d.AttemptCount, took, next)
	return p.printf("%s\n", strings.TrimRight(line, " "))
}
