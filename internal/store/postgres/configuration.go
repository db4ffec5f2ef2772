package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// pieceRecords is how many records a piece of a large configuration has.
const pieceRecords = 512

var _ store.Loader = (*Store)(nil)

// Configuration returns what changed after a revision.
func (s *Store) Configuration(ctx context.Context, since int64) (*store.Configuration, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var out *store.Configuration
	err = s.snapshot(ctx, func(tx pgx.Tx) (err error) {
		if out, err = fewRecords(ctx, tx, since); err != nil {
			return err
		}
		err = eachDocument(ctx, tx, `SELECT doc FROM grapnel.tenants WHERE rev > $1 ORDER BY num`, since, codec.ReadTenant, func(t []*hook.Tenant) error {
			out.Tenants = append(out.Tenants, t...)
			return nil
		})
		if err != nil {
			return err
		}
		return eachDocument(ctx, tx, `SELECT doc FROM grapnel.endpoints WHERE rev > $1 ORDER BY num`, since, codec.ReadEndpoint, func(e []*hook.Endpoint) error {
			out.Endpoints = append(out.Endpoints, e...)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return out, nil
}

// LoadConfiguration gives the whole configuration in pieces.
func (s *Store) LoadConfiguration(ctx context.Context, each func(*store.Configuration) error) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	err = s.snapshot(ctx, func(tx pgx.Tx) error {
		few, err := fewRecords(ctx, tx, 0)
		if err != nil {
			return err
		}
		err = eachDocument(ctx, tx, `SELECT doc FROM grapnel.tenants WHERE rev > $1 ORDER BY num`, 0, codec.ReadTenant, func(t []*hook.Tenant) error {
			return each(&store.Configuration{Revision: few.Revision, Tenants: t})
		})
		if err != nil {
			return err
		}
		err = eachDocument(ctx, tx, `SELECT doc FROM grapnel.endpoints WHERE rev > $1 ORDER BY num`, 0, codec.ReadEndpoint, func(e []*hook.Endpoint) error {
			return each(&store.Configuration{Revision: few.Revision, Endpoints: e})
		})
		if err != nil {
			return err
		}
		return each(few)
	})
	if err != nil {
		return fmt.Errorf("load the configuration: %w", err)
	}
	return nil
}

// snapshot reads in the state of one moment.
func (s *Store) snapshot(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return mapped(pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn))
}

// fewRecords reads what there is not much of: all but tenants and endpoints.
func fewRecords(ctx context.Context, tx pgx.Tx, since int64) (*store.Configuration, error) {
	out := &store.Configuration{}
	err := tx.QueryRow(ctx, `SELECT n FROM grapnel.revision`).Scan(&out.Revision)
	if err != nil || out.Revision == since { // nothing is new, which is usual
		return out, err
	}
	if out.Types, err = documents[hook.EventType](ctx, tx, `SELECT doc FROM grapnel.types WHERE rev > $1 ORDER BY name COLLATE "C"`, since); err != nil {
		return nil, err
	}
	if out.Keys, err = documents[hook.Key](ctx, tx, `SELECT doc FROM grapnel.keys WHERE rev > $1 ORDER BY id COLLATE "C"`, since); err != nil {
		return nil, err
	}
	if out.Replays, err = documents[hook.Replay](ctx, tx, `SELECT doc FROM grapnel.replays WHERE rev > $1 ORDER BY id COLLATE "C"`, since); err != nil {
		return nil, err
	}
	out.Pinned, err = documents[hook.Pinned](ctx, tx, `SELECT doc FROM grapnel.pinned WHERE rev > $1 ORDER BY name COLLATE "C"`, since)
	return out, err
}

var _ store.ReplaySharer = (*Store)(nil)

// RunningReplays lists the replays that have not ended, as they are now.
func (s *Store) RunningReplays(ctx context.Context) (out []*hook.Replay, err error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	err = s.snapshot(ctx, func(tx pgx.Tx) (err error) {
		out, err = documents[hook.Replay](ctx, tx, `SELECT doc FROM grapnel.replays WHERE rev > $1 AND finished = 0 AND NOT deleted ORDER BY id COLLATE "C"`, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the replays that run: %w", err)
	}
	return out, nil
}

// documents reads records.
func documents[T any](ctx context.Context, tx pgx.Tx, sql string, since int64) (out []*T, err error) {
	err = eachDocument(ctx, tx, sql, since, func(string, *T) bool { return false }, func(v []*T) error {
		out = append(out, v...)
		return nil
	})
	return out, err
}

// eachDocument gives the records of a query in pieces. What the fast way to read one
// does not know is read in the usual one.
func eachDocument[T any](ctx context.Context, tx pgx.Tx, sql string, since int64, fast func(doc string, v *T) bool, each func([]*T) error) error {
	rows, err := tx.Query(ctx, sql, since)
	if err != nil {
		return err
	}
	defer rows.Close()
	var piece []*T
	for rows.Next() {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return err
		}
		v := new(T)
		if !fast(doc, v) {
			*v = *new(T)
			if err := json.Unmarshal([]byte(doc), v); err != nil {
				return err
			}
		}
		if piece = append(piece, v); len(piece) == pieceRecords {
			if err := each(piece); err != nil {
				return err
			}
			piece = nil
		}
	}
	if err := rows.Err(); err != nil || len(piece) == 0 {
		return err
	}
	return each(piece)
}
