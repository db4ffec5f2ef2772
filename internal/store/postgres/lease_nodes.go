package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store"
)

var _ store.Cluster = (*Store)(nil)

// Nodes lists the nodes that are known.
func (s *Store) Nodes(ctx context.Context) ([]store.Node, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return nodesOf(ctx, s.pool)
}

func nodesOf(ctx context.Context, db asker) ([]store.Node, error) {
	rows, err := db.Query(ctx, `SELECT n.node, n.version, n.schema, n.address, n.started, n.seen, n.expires, n.expires < clock_timestamp(), n.leaves,
			coalesce((SELECT bit_or(1::bigint << p.partition::integer) FROM grapnel.partitions AS p WHERE p.node = n.node), 0)
		FROM grapnel.nodes AS n ORDER BY n.started, n.node`)
	var out []store.Node
	if err == nil {
		var n store.Node
		var partitions int64
		_, err = pgx.ForEachRow(rows, []any{&n.Name, &n.Version, &n.Schema, &n.Address, &n.Started, &n.Seen, &n.Expires, &n.Over, &n.Leaves, &partitions}, func() error {
			n.Partitions = uint64(partitions)
			n.Started, n.Seen, n.Expires = n.Started.UTC(), n.Seen.UTC(), n.Expires.UTC()
			out = append(out, n)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", mapped(err))
	}
	return out, nil
}
