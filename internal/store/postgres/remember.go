package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/store"
)

// forgetAtOnce is how many old requests a change removes at most, so that the first
// one after a long rest does not take long.
const forgetAtOnce = 1000

// remember stores the requests of a change and forgets those that are older than the
// window. No other change is at it: they take their turn.
func (s *Store) remember(ctx context.Context, tx pgx.Tx, requests []*store.Request) error {
	if len(requests) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, forgetSQL, codec.FromTime(requests[0].At.Add(-s.opts.IdempotencyWindow)), forgetAtOnce, int64(s.opts.IdempotencyWindow)); err != nil {
		return err
	}
	var scopes, keys []string
	var ats []int64
	var prints, answers [][]byte
	added, since := map[string]int{}, map[string]time.Time{}
	for _, r := range requests {
		scopes, keys, ats = append(scopes, r.Scope), append(keys, r.Key), append(ats, codec.FromTime(r.At))
		prints, answers = append(prints, r.Fingerprint[:]), append(answers, r.Answer)
		if added[r.Scope]++; added[r.Scope] == 1 || r.At.Before(since[r.Scope]) {
			since[r.Scope] = r.At
		}
	}
	for scope, n := range added {
		if err := roomFor(ctx, tx, scope, n, since[scope].Add(-s.opts.IdempotencyWindow)); err != nil {
			return err
		}
	}
	tag, err := tx.Exec(ctx, `INSERT INTO grapnel.changes AS c (scope, key, at, fingerprint, answer)
		SELECT r.scope, r.key, least(r.at, grapnel.latest1() / 4096 * 1000000), r.fingerprint, r.answer
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[]) AS r (scope, key, at, fingerprint, answer)
		ON CONFLICT (scope, key) DO UPDATE SET at = excluded.at, fingerprint = excluded.fingerprint, answer = excluded.answer WHERE c.at < excluded.at - $6::bigint`,
		scopes, keys, ats, prints, answers, int64(s.opts.IdempotencyWindow))
	if isCode(err, codeTwice) || err == nil && tag.RowsAffected() < int64(len(requests)) {
		return fmt.Errorf("%w: of %d with a change", store.ErrKeyTaken, len(requests))
	}
	return err
}

// querier runs a query.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// roomFor refuses n requests more of a scope than may be remembered.
func roomFor(ctx context.Context, q querier, scope string, n int, since time.Time) error {
	var there int
	err := q.QueryRow(ctx, `SELECT count(*) FROM grapnel.changes WHERE scope = $1 AND at >= $2`, scope, codec.FromTime(since)).Scan(&there)
	if err == nil && there+n > store.MaxRequests {
		err = fmt.Errorf("%w: %d of %q", store.ErrTooManyKeys, there, scope)
	}
	return err
}

// forgetSQL removes the oldest of the requests from before an instant that changed
// the configuration, but none that is younger than a window by the server's clock.
const forgetSQL = `DELETE FROM grapnel.changes WHERE (scope, key) IN (SELECT scope, key FROM grapnel.changes WHERE at < least($1::bigint, grapnel.clock1() * 1000000 - $3::bigint) ORDER BY at LIMIT $2)`

// Remembered finds a request that Configure stored.
func (s *Store) Remembered(ctx context.Context, key store.RequestKey, since time.Time) (*store.Request, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	out := &store.Request{RequestKey: key}
	var at int64
	var print []byte
	err = s.pool.QueryRow(ctx, `SELECT at, fingerprint, answer FROM grapnel.changes WHERE scope = $1 AND key = $2 AND at >= least($3::bigint, grapnel.clock1() * 1000000 - $4::bigint)`,
		key.Scope, key.Key, codec.FromTime(since), int64(s.opts.IdempotencyWindow)).Scan(&at, &print, &out.Answer)
	if errors.Is(err, pgx.ErrNoRows) {
		out, err = nil, roomFor(ctx, s.pool, key.Scope, 1, since)
	} else if err == nil {
		out.At = codec.ToTime(at)
		copy(out.Fingerprint[:], print)
	}
	if err != nil {
		return nil, fmt.Errorf("look up Idempotency-Key %q: %w", key.Key, mapped(err))
	}
	return out, nil
}
