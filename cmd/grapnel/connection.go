package main

import (
	"context"
	"fmt"

	"grapnel/client"
)

type tenantsConnectionCmd struct {
	ID      string `arg:"" name:"tenant" help:"The tenant's id."`
	State   string `arg:"" enum:"lost,restored" help:"What has become of the connection: lost or restored."`
	Code    *int   `placeholder:"N" help:"Why it is lost, as the contract's error code; 100 if left out."`
	Reason  string `placeholder:"TEXT" help:"Why it is lost, in a few words."`
	Message string `placeholder:"TEXT" help:"What to do, and what follows otherwise."`
	remote
}

// Help gives examples.
func (*tenantsConnectionCmd) Help() string {
	return `Some contracts, api2cart among them, tell their endpoints that the connection with the
tenant's store is lost: at once, and again after 1, 2, 4 and 8 hours. After the fifth time the
endpoints are disabled, unless the connection was restored before.

Examples:

    grapnel tenants connection demo lost --code 100 --reason "incorrect store key"
    grapnel tenants connection demo restored`
}

// Run says it.
func (c *tenantsConnectionCmd) Run(p *program) error {
	in := client.StoreConnectionInput{State: c.State, Reason: c.Reason, Message: c.Message}
	switch {
	case c.State == client.Restored && (c.Code != nil || c.Reason != "" || c.Message != ""):
		return fail(exitUsage, "leave them out", "--code, --reason and --message say why a connection is lost, and this one is restored")
	case c.Code != nil && *c.Code < 1:
		return fail(exitUsage, "use the contract's error code, such as 100, or leave it out", "--code: %d means no error, and the connection is lost", *c.Code)
	case c.Code != nil:
		in.Code = *c.Code
	}
	return one(p, &c.remote, func(ctx context.Context, api *client.Client) (*client.StoreConnection, error) {
		return api.SetConnection(ctx, c.ID, in)
	}, p.connection)
}

func (p *program) connection(s *client.StoreConnection) error {
	if s.Endpoints != nil && *s.Endpoints == 0 {
		p.note("note: nobody is told: the tenant has no active endpoint of a contract that tells of lost connections, such as api2cart")
	}
	if p.JSON {
		return p.object(s)
	}
	if s.State == client.Restored {
		return p.fields(field{"connection", s.State})
	}
	return p.fields(lostFields(s)...)
}

// lostFields show a lost connection.
func lostFields(s *client.StoreConnection) []field {
	all := []field{
		{"connection", s.State}, {"since", when(s.LostAt)}, {"code", fmt.Sprint(s.Code)}, {"reason", s.Reason}, {"message", s.Message},
		{"told", count(int64(s.Told), "time")},
	}
	if s.TriesLeft != nil {
		all = append(all, field{"tries left", fmt.Sprint(*s.TriesLeft)})
	}
	if s.NextAt != nil {
		all = append(all, field{"next", when(s.NextAt)})
	}
	return all
}
