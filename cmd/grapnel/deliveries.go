package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"grapnel/client"
)

// deliveriesCmd is about deliveries.
type deliveriesCmd struct {
	List      deliveriesListCmd      `cmd:"" help:"List a tenant's deliveries, newest first."`
	Get       deliveriesGetCmd       `cmd:"" help:"Show a delivery, its attempts, or a curl command that repeats one."`
	Redeliver deliveriesRedeliverCmd `cmd:"" help:"Send an event to an endpoint again."`
}

// Help gives examples.
func (*deliveriesCmd) Help() string {
	return `A delivery is one event on its way to one endpoint, with every attempt that was made.

Examples:

    grapnel deliveries list --state failed,pending --since 2h
    grapnel deliveries get "$DELIVERY" --attempts`
}

var deliveryView = view[client.Delivery]{
	header: []string{"DELIVERY", "STATE", "CODE", "ATTEMPTS", "TYPE", "ENDPOINT", "LAST ATTEMPT", "NEXT"},
	cells: func(d *client.Delivery) []string {
		next := ""
		if d.NextAt != nil {
			next = relative(time.Until(*d.NextAt))
		}
		return []string{d.ID, d.State, lastAnswer(d), fmt.Sprint(d.AttemptCount), d.Type, d.Endpoint, when(d.LastAt), next}
	},
}

// window is what every command takes that asks for things of some time.
type window struct {
	Since past `placeholder:"TIME" help:"Nothing accepted before: a time such as 2026-01-31T08:00:00Z, or a span back from now such as 2h or 7d."`
	Until past `placeholder:"TIME" help:"Nothing accepted from then on: a time or a span back from now."`
}

type deliveriesListCmd struct {
	Endpoint string   `placeholder:"ID" help:"Only those to this endpoint."`
	Event    string   `placeholder:"ID" help:"Only those of the event with this id."`
	Type     string   `placeholder:"NAME" help:"Only those of this event type."`
	State    []string `enum:"pending,held,delivered,failed,cancelled" placeholder:"STATES" help:"Only those that are pending, held, delivered, failed or cancelled; several separated by commas."`
	window
	scoped
	limited
}

// Help gives examples.
func (*deliveriesListCmd) Help() string {
	return `Examples:

    grapnel deliveries list --endpoint "$ENDPOINT" --state failed --since 2h
    grapnel deliveries list --type user.created --limit 5 --json`
}

// Run lists.
func (c *deliveriesListCmd) Run(p *program) error {
	f := client.DeliveryFilter{Endpoint: c.Endpoint, Event: c.Event, Type: c.Type, States: c.State, Since: c.Since.Time, Until: c.Until.Time}
	return listOf(p, &c.scoped, c.limited, deliveryView, func(ctx context.Context, api *client.Client, tenant string) iter.Seq2[*client.Delivery, error] {
		return api.Deliveries(ctx, tenant, f)
	})
}

type deliveriesGetCmd struct {
	ID       string `arg:"" name:"delivery" help:"The delivery's id."`
	Attempts bool   `help:"Show what was sent and answered at each attempt."`
	Curl     bool   `help:"Print a curl command that sends the request of an attempt again."`
	Attempt  int    `default:"0" placeholder:"N" help:"The attempt that --curl is about, 1 for the first; 0 for the last (default ${default})."`
	scoped
}

// Help gives examples.
func (*deliveriesGetCmd) Help() string {
	return `The curl command carries the signature and the timestamp of that attempt, which a receiver takes
for a few minutes alone.

Examples:

    grapnel deliveries get "$DELIVERY"
    grapnel deliveries get "$DELIVERY" --attempts
    grapnel deliveries get "$DELIVERY" --curl > again.sh`
}

// Run shows.
func (c *deliveriesGetCmd) Run(p *program) error {
	if c.Curl && p.JSON {
		return fail(exitUsage, "leave one of them out", "--curl prints a command, not JSON")
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	d, err := api.Delivery(ctx, tenant, c.ID)
	switch {
	case err != nil:
		return err
	case c.Curl:
		return c.curl(p, d)
	case p.JSON:
		return p.object(d)
	}
	return p.delivery(d, c.Attempts)
}

func (c *deliveriesGetCmd) curl(p *program, d *client.DeliveryDetail) error {
	n := c.Attempt
	if n == 0 {
		n = len(d.Attempts)
	}
	for i := range d.Attempts {
		if d.Attempts[i].N != n {
			continue
		}
		text, missing, err := attemptCurl(&d.Attempts[i], d.Request)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			p.note("the values of these headers are not shown, put them in: %s", strings.Join(missing, ", "))
		}
		return p.printf("%s\n", text)
	}
	if len(d.Attempts) == 0 {
		return fail(exitNotFound, "it waits for its first attempt: try again later", "nothing has been sent yet")
	}
	return fail(exitNotFound, fmt.Sprintf("there are %s", count(int64(len(d.Attempts)), "attempt")), "there is no attempt %d", n)
}

// delivery shows a delivery, with the exchange of each attempt if wanted.
func (p *program) delivery(d *client.DeliveryDetail, exchanges bool) error {
	err := p.fields(field{"delivery", d.ID}, field{"state", d.State}, field{"reason", d.Reason}, field{"type", d.Type}, field{"event", d.Event},
		field{"endpoint", d.Endpoint}, field{"last answer", lastAnswer(&d.Delivery)}, field{"last attempt", when(d.LastAt)}, field{"next attempt", when(d.NextAt)},
		field{"attempts", fmt.Sprint(d.AttemptCount)}, field{"waits for", d.WaitsFor})
	if err != nil || len(d.Attempts) == 0 {
		return err
	}
	if !exchanges {
		if err := p.printf("\n"); err != nil {
			return err
		}
		t := p.newTable("ATTEMPT", "AT", "RESULT", "TOOK", "BECAME", "DETAIL")
		for i := range d.Attempts {
			a := &d.Attempts[i]
			if err := t.row(fmt.Sprint(a.N), when(&a.At), attemptResult(a), span(milliseconds(a.Timing.Total)), a.State, a.Detail); err != nil {
				return err
			}
		}
		return t.end()
	}
	if d.Request != nil {
		if err := p.body("Body sent", d.Request, false); err != nil {
			return err
		}
	}
	for i := range d.Attempts {
		if err := p.exchange(&d.Attempts[i]); err != nil {
			return err
		}
	}
	return nil
}

func attemptResult(a *client.Attempt) string {
	if a.Status != 0 {
		return fmt.Sprint(a.Status)
	}
	return a.Class
}

// exchange shows what was sent and answered at an attempt.
func (p *program) exchange(a *client.Attempt) error {
	if err := p.section(fmt.Sprintf("Attempt %d (%s)", a.N, a.Trigger)); err != nil {
		return err
	}
	err := p.fields(field{"at", when(&a.At)}, field{"result", attemptResult(a)}, field{"detail", a.Detail}, field{"became", a.State}, field{"reason", a.Reason},
		field{"next attempt", when(a.NextAt)}, field{"took", timing(&a.Timing)}, field{"address", a.Connection.RemoteAddr}, field{"tls", a.Connection.TLS},
		field{"body", fmt.Sprintf("%d bytes, sha256 %s", a.BodySize, a.BodySHA256)})
	if err != nil {
		return err
	}
	if err := p.headers(fmt.Sprintf("> %s %s", a.Request.Method, a.Request.URL), "> ", a.Request.Headers); err != nil {
		return err
	}
	if a.Response == nil {
		return nil
	}
	if n := a.Response.Omitted; n > 0 {
		err = p.printf("\n%d bytes of this answer are not kept: the endpoint had answered too much before.\n", n)
		if err != nil {
			return err
		}
	}
	if err := p.headers(fmt.Sprintf("< %s %d", a.Response.Protocol, a.Status), "< ", a.Response.Headers); err != nil {
		return err
	}
	if a.Response.Text == "" {
		return nil
	}
	return p.body("Body answered", &a.Response.Body, a.Response.Truncated)
}

func (p *program) headers(first, mark string, lines client.Headers) error {
	if err := p.printf("\n%s\n", plain(first)); err != nil {
		return err
	}
	for _, h := range lines {
		if err := p.printf("%s%s: %s\n", mark, plain(h.Name), plain(h.Value)); err != nil {
			return err
		}
	}
	return nil
}

// body shows a body line by line.
func (p *program) body(title string, b *client.Body, truncated bool) error {
	if b.Encoding != "" {
		title += " (" + b.Encoding + ")"
	}
	if truncated {
		title += ", its beginning"
	}
	if err := p.section(title); err != nil {
		return err
	}
	for line := range strings.Lines(b.Text) {
		if err := p.printf("%s\n", plain(strings.TrimRight(line, "\r\n"))); err != nil {
			return err
		}
	}
	return nil
}

// timing tells how long an attempt took, and its phases.
func timing(t *client.Timing) string {
	text := span(milliseconds(t.Total))
	var parts []string
	for _, phase := range []struct {
		name string
		ms   float64
	}{{"DNS", t.DNS}, {"connect", t.Connect}, {"TLS", t.TLS}, {"wait", t.Wait}, {"body", t.Body}} {
		if phase.ms > 0 {
			parts = append(parts, phase.name+" "+span(milliseconds(phase.ms)))
		}
	}
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}

type deliveriesRedeliverCmd struct {
	IDs []string `arg:"" name:"delivery" help:"The deliveries' ids."`
	scoped
}

// Help gives examples.
func (*deliveriesRedeliverCmd) Help() string {
	return `Whatever became of it, it is pending again and its schedule begins anew. The event's id and
the body stay the same, so that a receiver can tell that it comes again. grapnel replay does the
same for many.

Examples:

    grapnel deliveries redeliver "$DELIVERY"
    grapnel deliveries redeliver "$DELIVERY" --json`
}

// Run sends again, one after the other.
func (c *deliveriesRedeliverCmd) Run(p *program) error {
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	t := p.newTable(deliveryView.header...)
	for _, id := range c.IDs {
		d, err := api.Redeliver(ctx, tenant, id)
		if err != nil {
			return err
		}
		if p.JSON {
			err = p.line(d)
		} else {
			err = t.row(deliveryView.cells(d)...)
		}
		if err != nil {
			return err
		}
	}
	if p.JSON {
		return nil
	}
	return t.end()
}
