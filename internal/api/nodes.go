package api

import (
	"fmt"

	"grapnel/internal/store"
)

// nodeShape is a server in answers.
type nodeShape struct {
	Name       string `json:"name" doc:"its name: no other start of a server has the same" example:"web-1-01jb2x3y"`
	Self       bool   `json:"self" doc:"true: the server that was asked" example:"true"`
	State      string `json:"state" doc:"active; leaving: it is stopping, and gets nothing more; gone: its lease is over, so that others have its partitions or take them now" example:"active" enum:"active,leaving,gone"`
	Address    string `json:"address,omitzero" doc:"where it listens" example:"10.0.0.7:8080"`
	Version    string `json:"version,omitzero" doc:"of its program" example:"v1.2.0"`
	Schema     int    `json:"schema,omitzero" doc:"the version of the database's schema that its program knows; absent: the store is a data folder" example:"3"`
	StartedAt  stamp  `json:"started_at" doc:"since when it has been there"`
	SeenAt     stamp  `json:"seen_at" doc:"when it last renewed its lease, by the database's clock"`
	LeaseEnds  stamp  `json:"lease_ends_at,omitzero" doc:"when its lease ends unless it is renewed, by the database's clock; absent: never"`
	Partitions []int  `json:"partitions" doc:"those that it sends for, of 0 to 63" example:"[0,1,2]"`
}

// nodeState is where a server is in its life.
func nodeState(n *store.Node) string {
	switch {
	case n.Over:
		return "gone"
	case n.Leaves:
		return "leaving"
	}
	return "active"
}

func (a *API) shapeNode(n store.Node) nodeShape {
	out := nodeShape{
		Name: n.Name, Self: n.Name == a.Node, State: nodeState(&n), Address: n.Address, Version: n.Version, Schema: n.Schema,
		StartedAt: stamp(n.Started), SeenAt: stamp(n.Seen), LeaseEnds: stamp(n.Expires), Partitions: []int{},
	}
	for p := range store.Partitions {
		if n.Partitions>>p&1 == 1 {
			out.Partitions = append(out.Partitions, p)
		}
	}
	return out
}

func (a *API) listNodes(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	nodes, err := a.Cluster.Nodes(c.r.Context())
	if err != nil {
		return err
	}
	part, l := slicePage(a, c, q, nodes, func(n store.Node) string {
		return fmt.Sprintf("%020d %s", n.Started.UnixMicro(), n.Name)
	})
	return page(c, each(part, a.shapeNode), l)
}
