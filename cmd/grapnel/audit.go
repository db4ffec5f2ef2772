package main

import (
	"context"
	"iter"
	"strings"

	"grapnel/client"
)

// auditCmd is about the audit log.
type auditCmd struct {
	List auditListCmd `cmd:"" help:"List who changed what, latest first."`
}

// Help gives examples.
func (*auditCmd) Help() string {
	return `Every change of tenants, endpoints, secrets, event types, keys and replays is noted together with who made
it, and so are redeliveries, cancelled events, shown secrets, backups and purges.

Examples:

    grapnel audit list
    grapnel audit list --tenant demo --since 2h`
}

type auditListCmd struct {
	Tenant string `placeholder:"ID" help:"Only what is this tenant's own; the key has to manage it (default all, with an admin key)."`
	Since  past   `placeholder:"TIME" help:"Nothing done before: a time such as 2026-01-31T08:00:00Z, or a span back from now such as 2h or 7d."`
	Until  past   `placeholder:"TIME" help:"Nothing done from then on: a time or a span back from now."`
	remote
	limited
}

// Help gives examples.
func (*auditListCmd) Help() string {
	return `No secret is in the log, nor what people have written: of such fields it says that they have changed.

Examples:

    grapnel audit list --since 7d
    grapnel audit list --tenant demo --limit 5 --json`
}

var auditView = view[client.AuditEntry]{
	header: []string{"AT", "WHO", "FROM", "ACTION", "TENANT", "OBJECT", "RESULT", "FIELDS"},
	cells: func(e *client.AuditEntry) []string {
		who := e.Actor.Kind
		if e.Actor.Key != "" {
			who = e.Actor.Key
		}
		var fields []string
		for _, c := range e.Changes {
			fields = append(fields, c.Field)
		}
		return []string{when(&e.At), who, e.Actor.Address, e.Action, e.Tenant, e.Object, e.Result, strings.Join(fields, " ")}
	},
}

// Run lists.
func (c *auditListCmd) Run(p *program) error {
	f := client.AuditFilter{Tenant: c.Tenant, Since: c.Since.Time, Until: c.Until.Time}
	return list(p, &c.remote, c.limited, auditView, func(ctx context.Context, api *client.Client) iter.Seq2[*client.AuditEntry, error] {
		return api.Audit(ctx, f)
	})
}
