package main

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"grapnel/client"
)

type nodesCmd struct {
	remote
	limited
}

// Help gives examples.
func (*nodesCmd) Help() string {
	return `Lists the servers that share a store, oldest first, with the partitions that each sends for:
there are 64 in all. The asked server is marked with *. A server that died is listed as gone for
a day. Any of them can be asked; it needs an admin key. Where the store is a data folder, the one
server is all that there is.

Examples:

    grapnel nodes
    grapnel nodes --json`
}

var nodeView = view[client.Node]{
	header: []string{"NODE", "STATE", "ADDRESS", "VERSION", "SCHEMA", "SINCE", "SEEN", "PARTITIONS"},
	cells: func(n *client.Node) []string {
		name, schema := n.Name, "-"
		if n.Self {
			name += " *"
		}
		if n.Schema > 0 {
			schema = fmt.Sprint(n.Schema)
		}
		return []string{name, n.State, n.Address, n.Version, schema, when(&n.StartedAt), when(&n.SeenAt), ranges(n.Partitions)}
	},
}

// ranges writes ascending numbers short, and how many they are.
func ranges(of []int) string {
	if len(of) == 0 {
		return "0"
	}
	var parts []string
	for i := 0; i < len(of); {
		j := i
		for j+1 < len(of) && of[j+1] == of[j]+1 {
			j++
		}
		part := fmt.Sprint(of[i])
		if j > i {
			part += fmt.Sprintf("-%d", of[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return fmt.Sprintf("%d: %s", len(of), strings.Join(parts, ","))
}

// Run lists.
func (c *nodesCmd) Run(p *program) error {
	return list(p, &c.remote, c.limited, nodeView, func(ctx context.Context, api *client.Client) iter.Seq2[*client.Node, error] {
		return api.Nodes(ctx)
	})
}
