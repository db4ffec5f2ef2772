package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"grapnel/internal/store"
)

const (
	// keepEvery is how often the store looks after itself.
	keepEvery = time.Minute
	// appenderKept is how long an appender is remembered that was not heard of.
	appenderKept = 30 * 24 * time.Hour
)

// keeping looks after the store until ctx ends. Every node does: what it does, it
// does once, whoever comes first.
func (s *Store) keeping(ctx context.Context) {
	defer close(s.kept)
	tick, look := time.NewTicker(keepEvery), time.NewTicker(hungEvery)
	defer tick.Stop()
	defer look.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err = s.keep(ctx, s.now())
		case <-look.C:
			err = s.endHung(ctx, hungAfter)
		case <-s.toDrop:
			err = s.dropAll(ctx)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable) {
			s.log.Warn("the store cannot look after itself; it tries again in a minute", "error", err)
		}
	}
}

// keep makes the units that are needed soon, counts those that are complete, keeps the
// list of those that append, and warns of what threatens the store.
func (s *Store) keep(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, writing{}, true), s.opts.Timeout)
	defer cancel()
	if err := s.beKnown(ctx, s.pool); err != nil {
		return err
	}
	if err := s.cutAhead(ctx, now); err != nil {
		return err
	}
	if err := s.seal(ctx); err != nil {
		return err
	}
	if err := s.dropAll(ctx); err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, `DELETE FROM grapnel.appenders WHERE at < now() - $1::float8 * interval '1 second'`, appenderKept.Seconds()); err != nil {
		return mapped(err)
	}
	return s.warn(ctx)
}

// beKnown says that this store appends, and with which schema in mind.
func (s *Store) beKnown(ctx context.Context, db execer) error {
	_, err := db.Exec(ctx, `INSERT INTO grapnel.appenders AS a (appender, serial, stored, raised, number, at, schema) VALUES ($1, 0, false, 0, 0, now(), $2)
		ON CONFLICT (appender) DO UPDATE SET at = now(), schema = excluded.schema`, s.appender, s.schema)
	return mapped(err)
}

// execer runs a statement.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// forgetMe takes this store out of the list of those that append.
func (s *Store) forgetMe() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// Whoever cannot say it is not heard of any more soon, which comes to the same.
	_, _ = s.pool.Exec(ctx, `DELETE FROM grapnel.appenders WHERE appender = $1`, s.appender)
}
