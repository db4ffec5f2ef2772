package main

import (
	"context"
	"fmt"

	"grapnel/client"
)

type tenantsConnectionCmd struct {
	ID      string `arg:"" name:"tenant" help:"The tenant's id."`
	State   string `arg:"" enum:"lost,restored" help:"What has become of the connection: lost or restored."`
	Code    int    `placeholder:"N" help:"Why it is lost, as the contract's error code; 100 if left out."`
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
	return one(p, &c.remote, func(ctx context.Context, api *client.Client) (*client.StoreConnection, error) {
		return api.SetConnection(ctx, c.ID, client.StoreConnectionInput{State: c.State, Code: c.Code, Reason: c.Reason, Message: c.Message})
	}, p.connection)
}

func (p *program) connection(s *client.StoreConnection) error {
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
