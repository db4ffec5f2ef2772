package main

import (
	"fmt"

	"grapnel/client"
)

type endpointsResumeCmd struct {
	oneEndpoint
	Held  string `enum:"send,discard" default:"send" placeholder:"WHAT" help:"What becomes of what is held: send or discard (default ${default})."`
	Since past   `placeholder:"TIME" help:"Send what was accepted from then on, and discard what was before: a time such as 2026-01-31T08:00:00Z, or a span back from now such as 2h or 7d."`
	destructive
}

// Help gives examples.
func (*endpointsResumeCmd) Help() string {
	return `All that was held is sent, unless you choose otherwise: then it is counted first what would be
sent and what discarded, and you are asked. --dry-run ends there. What is discarded ends as
cancelled, before anything is sent, and stays in the log: it can be redelivered later.

Examples:

    grapnel endpoints resume "$ENDPOINT"
    grapnel endpoints pause "$ENDPOINT" --quiet && grapnel endpoints resume "$ENDPOINT" --since 2h --dry-run
    grapnel endpoints pause "$ENDPOINT" --quiet && grapnel endpoints resume "$ENDPOINT" --held discard --yes --json`
}

// Run counts, asks where something is to be discarded, and resumes.
func (c *endpointsResumeCmd) Run(p *program) error {
	if c.Held == "discard" && !c.Since.IsZero() {
		return fail(exitUsage, "leave --since out to discard all, or --held to send what is from then on", "--held discard and --since exclude each other")
	}
	if c.Held == "send" && c.Since.IsZero() && !c.DryRun {
		return c.become(p, client.Active)
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	how := client.Resume{Discard: c.Held == "discard", Since: c.Since.Time}
	if c.DryRun || !c.Yes {
		preview, err := api.PreviewResume(ctx, tenant, c.ID, how)
		if err != nil {
			return err
		}
		if c.DryRun {
			if p.JSON {
				return p.object(preview)
			}
			return p.printf("would %s\n", wouldResume(preview))
		}
		if preview.Discard > 0 || !preview.Exact {
			if err := p.confirm(wouldResume(preview), false); err != nil {
				return err
			}
		}
	}
	var discarded int64
	for {
		done, err := api.ResumeEndpoint(ctx, tenant, c.ID, how)
		if err != nil {
			return err
		}
		discarded += done.Discarded
		if done.State == client.Active {
			break
		}
		p.note("discarded %s so far", count(discarded, "delivery"))
	}
	p.note("discarded %s", count(discarded, "delivery"))
	e, err := api.Endpoint(ctx, tenant, c.ID)
	if err != nil {
		return err
	}
	return p.endpoint(e)
}

// wouldResume says what resuming would do.
func wouldResume(v *client.ResumePreview) string {
	least := ""
	if !v.Exact {
		least = "at least "
	}
	text := fmt.Sprintf("send %s%s and discard %s%s", least, count(v.Send, "delivery"), least, count(v.Discard, "delivery"))
	if v.Oldest != nil && v.Newest != nil {
		text += ", accepted from " + v.Oldest.UTC().Format(stampForm) + " to " + v.Newest.UTC().Format(stampForm)
	}
	return text
}
