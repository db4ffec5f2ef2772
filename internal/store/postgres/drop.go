package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// dropAtOnce is how many bytes of tables are dropped at once. Removing the files of
// more takes the server's file system so long that nobody is to wait for it.
const dropAtOnce = 64 << 20

// dropSoon drops the tables of a unit that was counted, or has that done in the
// background if they are large. What a crash leaves is dropped when a node next looks
// after the store.
func (s *Store) dropSoon(ctx context.Context, u unit) error {
	var bytes int64
	err := s.pool.QueryRow(ctx, `SELECT coalesce(sum(pg_total_relation_size(to_regclass('grapnel.gone_' || t || '_' || $2::bigint))), 0)::bigint FROM unnest($1::text[]) AS t`,
		unitTables, u.first).Scan(&bytes)
	if err != nil {
		return err
	}
	if bytes <= s.dropAtOnce {
		return s.drop(ctx, u.first)
	}
	select {
	case s.toDrop <- struct{}{}:
	default:
	}
	return nil
}

// drop drops a unit's tables. Where somebody reads them it leaves that to the next
// time.
func (s *Store) drop(ctx context.Context, first int64) error {
	_, err := s.pool.Exec(ctx, `SELECT grapnel.dropped1($1::bigint)`, first)
	if isCode(err, codeLocked) {
		return nil
	}
	return mapped(err)
}

// dropAll drops the tables of all units that were counted.
func (s *Store) dropAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, writing{}, true), pruneTime)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT first FROM grapnel.gone WHERE counted ORDER BY first`)
	if err != nil {
		return mapped(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	for i := 0; i < len(all) && err == nil; i++ {
		err = s.drop(ctx, all[i])
	}
	return mapped(err)
}
