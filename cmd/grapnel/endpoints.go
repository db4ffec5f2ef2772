package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"grapnel/client"
	"grapnel/internal/config"
)

// endpointsCmd is about endpoints.
type endpointsCmd struct {
	List    endpointsListCmd    `cmd:"" help:"List a tenant's endpoints."`
	Get     endpointsGetCmd     `cmd:"" help:"Show an endpoint."`
	Create  endpointsCreateCmd  `cmd:"" help:"Create an endpoint."`
	Update  endpointsUpdateCmd  `cmd:"" help:"Change an endpoint."`
	Delete  endpointsDeleteCmd  `cmd:"" help:"Delete an endpoint, and cancel what waits for it."`
	Pause   endpointsPauseCmd   `cmd:"" help:"Hold an endpoint's deliveries."`
	Resume  endpointsResumeCmd  `cmd:"" help:"Let a paused or disabled endpoint's deliveries go on."`
	Preview endpointsPreviewCmd `cmd:"" help:"Show the request that an endpoint would get of an event."`
	Test    endpointsTestCmd    `cmd:"" help:"Send a test event to one endpoint alone."`
	Secret  endpointsSecretCmd  `cmd:"" help:"Show when an endpoint's secrets count, or rotate them."`
	Stats   endpointsStatsCmd   `cmd:"" help:"Count what became of an endpoint's deliveries."`
}

// Help gives examples.
func (*endpointsCmd) Help() string {
	return `An endpoint is a URL of a tenant that its events are sent to.

Examples:

    grapnel endpoints create https://example.com/hooks --type 'invoice.*'
    grapnel endpoints list`
}

var endpointView = view[client.Endpoint]{
	header: []string{"ENDPOINT", "STATE", "URL", "TYPES", "DESCRIPTION"},
	cells: func(e *client.Endpoint) []string {
		return []string{e.ID, e.State, e.URL, eventTypes(e), e.Description}
	},
}

func eventTypes(e *client.Endpoint) string {
	if len(e.EventTypes) == 0 {
		return "all"
	}
	return strings.Join(e.EventTypes, " ")
}

func (p *program) endpoint(e *client.Endpoint) error {
	if p.JSON {
		return p.object(e)
	}
	all := []field{
		{"endpoint", e.ID}, {"number", fmt.Sprint(e.Number)}, {"tenant", e.Tenant}, {"url", e.URL}, {"state", e.State}, {"since", when(e.StateAt)},
		{"reason", e.StateReason}, {"failing since", when(e.FailingSince)}, {"types", eventTypes(e)}, {"dialect", e.Dialect}, {"description", e.Description},
	}
	if e.VendorID != nil {
		all = append(all, field{"vendor id", *e.VendorID})
	}
	if len(e.Fields) > 0 {
		all = append(all, field{"fields", strings.Join(e.Fields, ", ")})
	}
	for _, name := range slices.Sorted(maps.Keys(e.Settings)) {
		all = append(all, field{"setting " + name, e.Settings[name]})
	}
	for _, h := range e.Headers {
		all = append(all, field{"header", h.Name + ": " + h.Value})
	}
	all = append(all, authRows(e)...)
	if string(e.Filter) != "null" {
		all = append(all, field{"filter", string(e.Filter)})
	}
	if e.Transform != nil {
		all = append(all, field{"transform", *e.Transform})
	}
	all = append(all, field{"schedule", schedule(e.Schedule)}, field{"timeout", "the dialect's"}, field{"rate limit", "none"}, field{"in flight", "no limit of its own"})
	limits := all[len(all)-3:]
	if e.Timeout != nil {
		limits[0].value = config.Duration(*e.Timeout).String()
	}
	if e.RateLimit != nil {
		limits[1].value = fmt.Sprintf("%g a second", *e.RateLimit)
	}
	if e.MaxInFlight != nil {
		limits[2].value = fmt.Sprintf("at most %d at once", *e.MaxInFlight)
	}
	if e.Ordering != client.Unordered {
		all = append(all, field{"ordering", e.Ordering}, field{"a delivery that fails", poison(e.SkipAfter)})
	}
	if e.DisableAfter != nil {
		all = append(all, field{"disabled after", config.Duration(*e.DisableAfter).String() + " of failures alone"})
	}
	all = append(all, field{"created", when(&e.CreatedAt)}, field{"updated", when(&e.UpdatedAt)})
	for _, s := range e.Secrets {
		all = append(all, field{"public key", s.PublicKey})
	}
	if e.Secret != "" {
		all = append(all, field{"secret", e.Secret})
		p.note("keep the secret; grapnel endpoints secret reveal shows it again")
	}
	return p.fields(all...)
}

// poison says what a delivery that fails means to those behind it.
func poison(skipAfter *int) string {
	if skipAfter == nil {
		return "holds up those behind it"
	}
	return fmt.Sprintf("is skipped after %s", count(int64(*skipAfter), "attempt"))
}

func schedule(waits *[]client.Duration) string {
	switch {
	case waits == nil:
		return "the dialect's"
	case len(*waits) == 0:
		return "no retries"
	}
	var parts []string
	for _, d := range *waits {
		parts = append(parts, config.Duration(d).String())
	}
	return strings.Join(parts, ", ")
}

type endpointsListCmd struct {
	State string `enum:",active,paused,disabled" default:"" placeholder:"STATE" help:"Only those that are active, paused or disabled."`
	To    string `placeholder:"URL" help:"Only those with exactly this URL."`
	scoped
	limited
}

// Help gives examples.
func (*endpointsListCmd) Help() string {
	return `Examples:

    grapnel endpoints list --tenant demo
    grapnel endpoints list --state disabled --json`
}

// Run lists.
func (c *endpointsListCmd) Run(p *program) error {
	return listOf(p, &c.scoped, c.limited, endpointView, func(ctx context.Context, api *client.Client, tenant string) iter.Seq2[*client.Endpoint, error] {
		return api.Endpoints(ctx, tenant, client.EndpointFilter{State: c.State, URL: c.To})
	})
}

// oneEndpoint is what every command takes that is about an endpoint.
type oneEndpoint struct {
	ID string `arg:"" name:"endpoint" help:"The endpoint's id."`
	scoped
}

type endpointsGetCmd struct{ oneEndpoint }

// Help gives examples.
func (*endpointsGetCmd) Help() string {
	return `Examples:

    grapnel endpoints get "$ENDPOINT"
    grapnel endpoints get "$ENDPOINT" --json`
}

// Run shows.
func (c *endpointsGetCmd) Run(p *program) error {
	return oneOfTenant(p, &c.scoped, func(ctx context.Context, api *client.Client, tenant string) (*client.Endpoint, error) {
		return api.Endpoint(ctx, tenant, c.ID)
	}, p.endpoint)
}

type endpointsDeleteCmd struct {
	oneEndpoint
	destructive
}

// Help gives examples.
func (*endpointsDeleteCmd) Help() string {
	return `Examples:

    grapnel endpoints delete "$ENDPOINT" --dry-run
    grapnel endpoints delete "$ENDPOINT" --yes`
}

// Run deletes.
func (c *endpointsDeleteCmd) Run(p *program) error {
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	return c.remove(p, c.ID, "the endpoint "+c.ID+" of "+tenant, func(options ...client.Option) (*client.Removal, error) {
		return api.DeleteEndpoint(ctx, tenant, c.ID, options...)
	})
}

type endpointsPauseCmd struct{ oneEndpoint }

// Help gives examples.
func (*endpointsPauseCmd) Help() string {
	return `Nothing is lost: what is held goes on when the endpoint is resumed.

Examples:

    grapnel endpoints pause "$ENDPOINT"
    grapnel endpoints pause "$ENDPOINT" --json`
}

// Run pauses.
func (c *endpointsPauseCmd) Run(p *program) error { return c.become(p, client.Paused) }

func (c *oneEndpoint) become(p *program, state string) error {
	return oneOfTenant(p, &c.scoped, func(ctx context.Context, api *client.Client, tenant string) (*client.Endpoint, error) {
		return api.UpdateEndpoint(ctx, tenant, c.ID, client.EndpointInput{State: client.Set(state)})
	}, p.endpoint)
}
