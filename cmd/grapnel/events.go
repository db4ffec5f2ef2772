package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"grapnel/client"
)

// eventsCmd is about events.
type eventsCmd struct {
	List     eventsListCmd     `cmd:"" help:"List a tenant's events, newest first."`
	Get      eventsGetCmd      `cmd:"" help:"Show an event with what became of it."`
	Explain  eventsExplainCmd  `cmd:"" help:"Explain why an event reached an endpoint, or why not."`
	Cancel   eventsCancelCmd   `cmd:"" help:"End what still waits of an event."`
	Purge    eventsPurgeCmd    `cmd:"" help:"Take what events hold out of the store, such as a person's data."`
	Rejected eventsRejectedCmd `cmd:"" help:"List what was published in the database and could not be taken, or show one."`
}

// Help gives examples.
func (*eventsCmd) Help() string {
	return `An event is what was published; a delivery is its way to one endpoint.

Examples:

    grapnel events list --since 1h
    grapnel events get "$EVENT"`
}

var eventView = view[client.EventInfo]{
	header: []string{"EVENT", "TYPE", "KEY", "ENDPOINTS", "ACCEPTED"},
	cells: func(e *client.EventInfo) []string {
		return []string{e.ID, e.Type, e.Key, fmt.Sprint(e.Matched), when(&e.AcceptedAt)}
	},
}

type eventsListCmd struct {
	Type string `placeholder:"NAME" help:"Only those of this type."`
	window
	scoped
	limited
}

// Help gives examples.
func (*eventsListCmd) Help() string {
	return `Examples:

    grapnel events list --type user.created --since 7d
    grapnel events list --limit 5 --json`
}

// Run lists.
func (c *eventsListCmd) Run(p *program) error {
	f := client.EventFilter{Type: c.Type, Since: c.Since.Time, Until: c.Until.Time}
	return listOf(p, &c.scoped, c.limited, eventView, func(ctx context.Context, api *client.Client, tenant string) iter.Seq2[*client.EventInfo, error] {
		return api.Events(ctx, tenant, f)
	})
}

type eventsGetCmd struct {
	ID string `arg:"" name:"event" help:"The event's id, or the publisher's own."`
	scoped
}

// Help gives examples.
func (*eventsGetCmd) Help() string {
	return `Examples:

    grapnel events get "$EVENT"
    grapnel events get "$EVENT" --json`
}

// Run shows.
func (c *eventsGetCmd) Run(p *program) error {
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	e, err := api.Event(ctx, tenant, c.ID)
	if err != nil {
		return err
	}
	if p.JSON {
		return p.object(e)
	}
	return p.event(e)
}

func (p *program) event(e *client.PublishedEvent) error {
	err := p.fields(field{"event", e.ID}, field{"key", e.Key}, field{"tenant", e.Tenant}, field{"type", e.Type}, field{"ordering key", e.Ordering}, field{"time", when(&e.Time)},
		field{"accepted", when(&e.AcceptedAt)}, field{"endpoints", fmt.Sprint(e.Matched)}, field{"outcome", e.Outcome})
	if err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		value json.RawMessage
	}{{"Data", e.Data}, {"Previous", e.Previous}, {"Metadata", e.Metadata}} {
		if part.value == nil {
			continue
		}
		var text bytes.Buffer
		if err := json.Indent(&text, part.value, "", "  "); err != nil {
			return fmt.Errorf("show the event: %w", err)
		}
		if err := p.body(part.title, &client.Body{Text: text.String()}, false); err != nil {
			return err
		}
	}
	if len(e.Deliveries) == 0 {
		return nil
	}
	if err := p.section("Deliveries"); err != nil {
		return err
	}
	t := p.newTable(deliveryView.header...)
	for i := range e.Deliveries {
		if err := t.row(deliveryView.cells(&e.Deliveries[i])...); err != nil {
			return err
		}
	}
	if e.More {
		p.note("there are more deliveries: grapnel deliveries list --event %s --limit 0", e.ID)
	}
	return t.end()
}

type eventsExplainCmd struct {
	ID       string `arg:"" name:"event" help:"The event's id, or the publisher's own."`
	Endpoint string `arg:"" name:"endpoint" help:"The endpoint's id."`
	scoped
}

// Help gives examples.
func (*eventsExplainCmd) Help() string {
	return `One sentence with the cause, and what to do about it: whether the event matched and which
clause of a filter decided, what keeps a delivery waiting and until when, what the last
answer meant under the endpoint's contract.

Examples:

    grapnel events explain "$EVENT" "$ENDPOINT"
    grapnel events explain "$EVENT" "$ENDPOINT" --json`
}

// Run explains.
func (c *eventsExplainCmd) Run(p *program) error {
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	e, err := api.ExplainEvent(ctx, tenant, c.ID, c.Endpoint)
	if err != nil {
		return err
	}
	if p.JSON {
		return p.object(e)
	}
	all := []field{{"event", e.Event}, {"endpoint", e.Endpoint}}
	if d := e.Delivery; d != nil {
		all = append(all, field{"delivery", d.ID}, field{"state", d.State}, field{"attempts", fmt.Sprint(d.AttemptCount)})
	}
	if err := p.fields(append(all, field{"situation", e.Situation}, field{"filter clause", e.Filter}, field{"goes on", when(e.NextAt)})...); err != nil {
		return err
	}
	if err := p.printf("\n%s\n", e.Sentence); err != nil || e.Remedy == "" {
		return err
	}
	return p.printf("What to do: %s\n", e.Remedy)
}

type eventsCancelCmd struct {
	ID string `arg:"" name:"event" help:"The event's id, or the publisher's own."`
	scoped
	Yes bool `short:"y" help:"Do it without asking."`
}

// Help gives examples.
func (*eventsCancelCmd) Help() string {
	return `What is pending or held ends as cancelled; what was delivered stays delivered.

Examples:

    grapnel events cancel "$EVENT" --yes
    grapnel events cancel "$EVENT" --yes --json`
}

// Run cancels.
func (c *eventsCancelCmd) Run(p *program) error {
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	if err := p.confirm("cancel what still waits of the event "+c.ID, c.Yes); err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	done, err := api.CancelEvent(ctx, tenant, c.ID)
	if err != nil {
		return err
	}
	if p.JSON {
		return p.object(done)
	}
	if done.Running > 0 {
		p.note("%s cannot be stopped, and is not tried again", count(int64(done.Running), "running attempt"))
	}
	return p.printf("cancelled %s\n", count(int64(done.Cancelled), "delivery"))
}
