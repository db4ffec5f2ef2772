package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"grapnel/client"
)

// replayCmd is about replays.
type replayCmd struct {
	Start  replayStartCmd  `cmd:"" default:"withargs" help:"Send past deliveries again, those that the flags select."`
	Status replayStatusCmd `cmd:"" help:"Show how far a replay is."`
	Cancel replayCancelCmd `cmd:"" help:"Stop a replay; what it sent again stays sent."`
	List   replayListCmd   `cmd:"" help:"List a tenant's replays, oldest first."`
}

// Help gives examples.
func (*replayCmd) Help() string {
	return `After an outage of a receiver, a replay sends again what did not arrive, oldest first, with
the ids and bodies of the first time. grapnel replay alone is replay start, whose --help has
the flags.

Examples:

    grapnel replay --endpoint "$ENDPOINT" --state failed --since 2h --dry-run
    grapnel replay --since 2h --yes`
}

var replayView = view[client.Replay]{
	header: []string{"REPLAY", "STATE", "TOTAL", "SENT AGAIN", "SKIPPED", "FAILED", "CREATED"},
	cells: func(r *client.Replay) []string {
		return []string{r.ID, r.State, total(r), fmt.Sprint(r.Redelivered), fmt.Sprint(r.Skipped), fmt.Sprint(r.Failed), when(&r.CreatedAt)}
	},
}

// total is how many deliveries a replay is about.
func total(r *client.Replay) string {
	if r.Total == nil {
		return "not counted yet"
	}
	return fmt.Sprint(*r.Total)
}

func (p *program) replay(r *client.Replay) error {
	if p.JSON {
		return p.object(r)
	}
	f := r.Filter
	limit, rate := "", ""
	if r.Rate > 0 {
		rate = fmt.Sprintf("%g a second", r.Rate)
	}
	if f.Limit > 0 {
		limit = fmt.Sprint(f.Limit)
	}
	return p.fields(field{"replay", r.ID}, field{"state", r.State}, field{"reason", r.Reason}, field{"total", total(r)},
		field{"sent again", fmt.Sprint(r.Redelivered)}, field{"skipped", fmt.Sprint(r.Skipped)}, field{"failed", fmt.Sprint(r.Failed)},
		field{"endpoint", f.Endpoint}, field{"types", strings.Join(f.Types, " ")}, field{"states", strings.Join(f.States, " ")},
		field{"accepted since", when(f.Since)}, field{"until", when(f.Until)}, field{"limit", limit},
		field{"events", strings.Join(f.Events, " ")}, field{"rate", rate},
		field{"created", when(&r.CreatedAt)}, field{"finished", when(r.FinishedAt)})
}

type replayStartCmd struct {
	Endpoint string   `placeholder:"ID" help:"Only deliveries to this endpoint."`
	Event    []string `placeholder:"IDS" help:"Only deliveries of these events, by their ids or your own; several separated by commas."`
	Type     []string `placeholder:"NAMES" help:"Only deliveries of these event types, or prefix.* for all that begin so; several separated by commas."`
	State    []string `enum:"pending,held,delivered,failed,cancelled" placeholder:"STATES" help:"Only deliveries in these states, separated by commas (default failed)."`
	window
	Rate   float64 `default:"0" placeholder:"N" help:"Send at most so many a second, such as 50 or 0.5; 0 for as many as leave room for what is published meanwhile (default ${default})."`
	Limit  int64   `default:"0" placeholder:"N" help:"Send at most so many again, the oldest; 0 for all (default ${default})."`
	NoWait bool    `help:"Start it and go; grapnel replay status tells how far it is."`
	destructive
	scoped
}

// Help gives examples.
func (*replayStartCmd) Help() string {
	return `At least one of --endpoint, --event, --type, --state, --since and --until is needed. First it is counted
what would be sent again; --dry-run ends there. An interrupt ends the waiting, not the replay.

Examples:

    grapnel replay start --endpoint "$ENDPOINT" --state failed,cancelled --since 7d --dry-run
    grapnel replay start --type user.created --state delivered --limit 1 --yes
    grapnel replay start --event "$EVENT" --state delivered,failed --yes
    grapnel replay start --since 2h --rate 50 --yes --no-wait --json`
}

// Run counts, asks, and sends again.
func (c *replayStartCmd) Run(p *program) error {
	if c.Limit < 0 {
		return fail(exitUsage, "write 0 for all, or how many", "--limit: %d is below 0", c.Limit)
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	f := client.ReplayFilter{Endpoint: c.Endpoint, Types: c.Type, States: c.State, Since: pointer(c.Since.Time), Until: pointer(c.Until.Time), Limit: c.Limit, Events: c.Event, Rate: c.Rate}
	if c.DryRun || !c.Yes {
		preview, err := api.PreviewReplay(ctx, tenant, f)
		if err != nil {
			return err
		}
		if c.DryRun {
			return p.preview(preview)
		}
		if err := p.confirm(would(preview), false); err != nil {
			return err
		}
	}
	r, err := api.CreateReplay(ctx, tenant, f)
	if err != nil {
		return err
	}
	if !c.NoWait {
		if r, err = p.watch(ctx, api, tenant, r); err != nil {
			return err
		}
	}
	if err := p.replay(r); err != nil {
		return err
	}
	return replayVerdict(r)
}

// would says what a replay would do.
func would(v *client.ReplayPreview) string {
	text := "send "
	if !v.Exact {
		text += "at least "
	}
	text += count(v.Count, "delivery") + " again"
	if v.Oldest != nil && v.Newest != nil {
		text += ", accepted from " + v.Oldest.UTC().Format(stampForm) + " to " + v.Newest.UTC().Format(stampForm)
	}
	return text
}

func (p *program) preview(v *client.ReplayPreview) error {
	if p.JSON {
		return p.object(v)
	}
	return p.printf("would %s\n", would(v))
}

// How often a replay is asked for while it is waited for.
const (
	firstLook = 50 * time.Millisecond
	nextLook  = time.Second
)

// watch waits until a replay is over.
func (p *program) watch(ctx context.Context, api *client.Client, tenant string, r *client.Replay) (*client.Replay, error) {
	told := p.progress(0, "replay "+r.ID)
	defer told.end()
	for pause := firstLook; !r.Over(); pause = min(2*pause, nextLook) {
		tick := time.NewTimer(pause)
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
		}
		now, err := api.Replay(ctx, tenant, r.ID)
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, fail(exitInterrupted, "grapnel replay status "+r.ID+" tells how far it is, grapnel replay cancel "+r.ID+" stops it", "interrupted; the replay goes on")
		}
		if err != nil {
			return nil, err
		}
		r = now
		if r.Total != nil {
			told.grow(*r.Total)
		}
		told.set(r.Redelivered + r.Skipped + r.Failed)
	}
	return r, nil
}

// replayVerdict is an error if not all could be sent again.
func replayVerdict(r *client.Replay) error {
	switch {
	case r.State == client.ReplayFailed:
		return fail(exitFailure, "", "the replay failed: %s", r.Reason)
	case r.State == client.ReplayCancelled:
		return fail(exitUndelivered, "", "the replay was cancelled: %s", r.Reason)
	case r.Failed > 0:
		return fail(exitUndelivered, "", "%s could not be sent again", count(r.Failed, "delivery"))
	}
	return nil
}

// oneReplay is what every command takes that is about a replay.
type oneReplay struct {
	ID string `arg:"" name:"replay" help:"The replay's id."`
	scoped
}

type replayStatusCmd struct{ oneReplay }

// Help gives examples.
func (*replayStatusCmd) Help() string {
	return `Examples:

    grapnel replay status "$(grapnel replay --since 1h --yes --json | sed 's/.*"id":"\([^"]*\)".*/\1/')"
    grapnel replay status "$(grapnel replay --since 1h --yes --json | sed 's/.*"id":"\([^"]*\)".*/\1/')" --json`
}

// Run shows.
func (c *replayStatusCmd) Run(p *program) error {
	return oneOfTenant(p, &c.scoped, func(ctx context.Context, api *client.Client, tenant string) (*client.Replay, error) {
		return api.Replay(ctx, tenant, c.ID)
	}, p.replay)
}

type replayCancelCmd struct{ oneReplay }

// Help gives examples.
func (*replayCancelCmd) Help() string {
	return `Examples:

    grapnel replay cancel "$(grapnel replay --since 1h --yes --no-wait --json | sed 's/.*"id":"\([^"]*\)".*/\1/')" || true # it may be over
    grapnel replay cancel "$(grapnel replay --since 1h --yes --no-wait --json | sed 's/.*"id":"\([^"]*\)".*/\1/')" --json || true`
}

// Run stops.
func (c *replayCancelCmd) Run(p *program) error {
	return oneOfTenant(p, &c.scoped, func(ctx context.Context, api *client.Client, tenant string) (*client.Replay, error) {
		return api.CancelReplay(ctx, tenant, c.ID)
	}, p.replay)
}

type replayListCmd struct {
	scoped
	limited
}

// Help gives examples.
func (*replayListCmd) Help() string {
	return `Examples:

    grapnel replay list
    grapnel replay list --limit 1 --json`
}

// Run lists.
func (c *replayListCmd) Run(p *program) error {
	return listOf(p, &c.scoped, c.limited, replayView, func(ctx context.Context, api *client.Client, tenant string) iter.Seq2[*client.Replay, error] {
		return api.Replays(ctx, tenant)
	})
}
