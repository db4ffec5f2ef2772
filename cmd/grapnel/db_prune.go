package main

import (
	"context"
	"fmt"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/serve/offline"
)

type dbStatsCmd struct {
	either
}

// Help gives examples.
func (*dbStatsCmd) Help() string {
	return `With --url or --context a running server is asked, which needs an admin key; otherwise the data
folder is read, which no server may have open, or with --store a PostgreSQL database.

Examples:

    grapnel db stats
    grapnel db stats --json`
}

// Run shows how the store is.
func (c *dbStatsCmd) Run(p *program) error {
	ctx, stop := untilSignal()
	defer stop()
	asks, err := c.asks(p)
	if err != nil {
		return err
	}
	var s *client.Store
	if asks {
		api, err := c.remote.open(p)
		if err != nil {
			return err
		}
		if s, err = api.Store(ctx); err != nil {
			return err
		}
	} else if s, err = c.read(ctx); err != nil {
		return err
	}
	if p.JSON {
		return p.object(s)
	}
	state := "yes"
	if !s.Writable {
		state = "no: " + s.Problem
	}
	all := []field{{"engine", s.Engine}, {"durability", s.Durability}, {"events", fmt.Sprint(s.Events)}, {"files", fmt.Sprint(s.Units)},
		{"size", sizeText(s.Bytes)}, {"oldest", when(s.Oldest)}, {"last event", s.LastEvent}, {"expired", fmt.Sprint(s.Expired)}, {"writable", state}}
	for _, w := range s.Warnings {
		all = append(all, field{"warning", w})
	}
	return p.fields(all...)
}

// read opens the folder and asks its store.
func (c *dbStatsCmd) read(ctx context.Context) (*client.Store, error) {
	data, err := c.folder.open(ctx, "ask the running server: grapnel db stats --url URL, with an admin key in GRAPNEL_KEY")
	if err != nil {
		return nil, err
	}
	defer data.Close()
	return data.Stats(ctx)
}

type dbPruneCmd struct {
	folder
	Before    past            `xor:"when" required:"" placeholder:"TIME" help:"Remove events that were accepted before this time (RFC 3339)."`
	OlderThan config.Duration `xor:"when" required:"" placeholder:"TIME" help:"Remove events older than this, such as 30d."`
	ToSize    config.Size     `xor:"when" required:"" placeholder:"SIZE" help:"Remove the oldest events until the log takes no more than this on the disk, such as 20GiB."`
	destructive
}

// Help gives examples.
func (*dbPruneCmd) Help() string {
	return `A server removes events by itself when their retention is over (grapnel serve --retention). This
does it by hand on a folder that no server has open, or on a database (--store). Events go by
whole files of the log: one
with an event that is not old enough, or a delivery that can still be sent, stays. Deliveries of
paused, disabled or deleted endpoints end with their events.

Examples:

    grapnel db backup --to b.tar && grapnel db restore b.tar --data restored && grapnel db prune --data restored --older-than 30d --dry-run
    grapnel db backup --to d.tar && grapnel db restore d.tar --data small && grapnel db prune --data small --to-size 20GiB --dry-run
    grapnel db backup --to c.tar && grapnel db restore c.tar --data again && grapnel db prune --data again --before 2026-01-31T00:00:00Z --yes`
}

// Run prunes.
func (c *dbPruneCmd) Run(p *program) error {
	c.settle(p)
	before := c.Before.Time
	if c.OlderThan != 0 {
		if c.OlderThan < 0 {
			return fail(exitUsage, "write a span such as 30d", "--older-than is negative")
		}
		before = time.Now().Add(-c.OlderThan.Std())
	}
	if before.IsZero() && c.ToSize <= 0 {
		return fail(exitUsage, "write a size such as 20GiB", "--to-size has to be above 0")
	}
	ctx, stop := untilSignal()
	defer stop()
	data, err := c.folder.open(ctx, "stop the server first, or give it a shorter --retention or a smaller --retention-size")
	if err != nil {
		return err
	}
	defer data.Close()
	prune, which := func(dry bool) (*offline.Pruned, error) { return data.Prune(ctx, before, dry) }, "of before "+before.UTC().Format(stampForm)
	if c.ToSize > 0 {
		prune, which = func(dry bool) (*offline.Pruned, error) { return data.Shrink(ctx, int64(c.ToSize), dry) }, "that are the oldest"
	}
	would, err := prune(true)
	if err != nil {
		return err
	}
	if c.DryRun || would.Files == 0 {
		would.DryRun = c.DryRun
		return tellPruned(p, would)
	}
	what := fmt.Sprintf("remove %d events %s from %s, and end %d deliveries", would.Events, which, c.shown(), would.Expired)
	if err := p.confirm(what, c.Yes); err != nil {
		return err
	}
	gone, err := prune(false)
	if err != nil {
		return err
	}
	return tellPruned(p, gone)
}

func tellPruned(p *program, out *offline.Pruned) error {
	if p.JSON {
		return p.object(out)
	}
	verb := "removed"
	if out.DryRun {
		verb = "would remove"
	}
	if out.Files == 0 && out.Before.IsZero() {
		return p.printf("nothing to remove: %s\n", stillOver(out))
	}
	if out.Files == 0 {
		return p.printf("nothing to remove: no file of the log is older than %s and over\n", out.Before.Format(stampForm))
	}
	if out.Over > 0 {
		if err := p.printf("%s\n", stillOver(out)); err != nil {
			return err
		}
	}
	return p.printf("%s %d events in %d files; %d deliveries ended without having been made\n", verb, out.Events, out.Files, out.Expired)
}

// stillOver says how far a log is from the size that it was to have.
func stillOver(out *offline.Pruned) string {
	if out.Over == 0 {
		return "the log is no larger than that"
	}
	if out.Pinned == 0 {
		return fmt.Sprintf("the log is %s larger, in the file in use", sizeText(out.Over))
	}
	return fmt.Sprintf("the log is %s larger, in the file in use and %d with deliveries that can still be sent", sizeText(out.Over), out.Pinned)
}
