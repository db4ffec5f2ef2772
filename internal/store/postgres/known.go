package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Known looks keys up, all of a kind at once. What is within the idempotency window by
// the server's clock is known, however far the caller's is ahead (case 31).
func (s *Store) Known(ctx context.Context, q store.KnownQuery) (store.Known, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.Known{}, err
	}
	defer leave()
	out := store.Known{Events: make([]*store.KnownEvent, len(q.Events)), Requests: make([]*store.Request, len(q.Requests))}
	if len(q.Events) > 0 {
		if err := s.knownEvents(ctx, q.Events, q.Since, out.Events); err != nil {
			return store.Known{}, fmt.Errorf("look up %d event keys: %w", len(q.Events), mapped(err))
		}
	}
	if len(q.Requests) > 0 {
		if err := s.knownRequests(ctx, q.Requests, q.Since, out.Requests); err != nil {
			return store.Known{}, fmt.Errorf("look up %d idempotency keys: %w", len(q.Requests), mapped(err))
		}
	}
	return out, nil
}

func (s *Store) knownEvents(ctx context.Context, keys []store.EventKey, since time.Time, into []*store.KnownEvent) error {
	tenants, names := make([]int64, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		tenants[i], names[i] = int64(k.Tenant), k.Key
	}
	rows, err := s.pool.Query(ctx, `SELECT q.place, k.seq, k.tail, k.fingerprint, k.targets
		FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS q (tenant, key, place)
		JOIN grapnel.event_keys AS k ON k.tenant = q.tenant AND k.key = q.key AND k.seq >= least($3::bigint, (grapnel.clock1() - $4::bigint) * 4096)`,
		tenants, names, hook.FirstEventID(since).Seq(), s.opts.IdempotencyWindow.Milliseconds())
	if err != nil {
		return err
	}
	var place, seq, tail int64
	var print, targets []byte
	_, err = pgx.ForEachRow(rows, []any{&place, &seq, &tail, &print, &targets}, func() (err error) {
		known := &store.KnownEvent{ID: hook.EventIDFrom(seq, uint64(tail))}
		copy(known.Fingerprint[:], print)
		known.Targets, err = codec.ParseTargets(targets)
		into[place-1] = known
		return err
	})
	return err
}

func (s *Store) knownRequests(ctx context.Context, keys []store.RequestKey, since time.Time, into []*store.Request) error {
	scopes, names := make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		scopes[i], names[i] = k.Scope, k.Key
	}
	rows, err := s.pool.Query(ctx, `SELECT q.place, r.at, r.raised, r.fingerprint, r.answer
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q (scope, key, place)
		JOIN grapnel.requests AS r ON r.scope = q.scope AND r.key = q.key AND r.at >= least($3::bigint, (grapnel.clock1() - $4::bigint) * 1000000)`,
		scopes, names, codec.FromTime(since), s.opts.IdempotencyWindow.Milliseconds())
	if err != nil {
		return err
	}
	var place, at, raised int64
	var print, answer []byte
	_, err = pgx.ForEachRow(rows, []any{&place, &at, &raised, &print, &answer}, func() error {
		r := &store.Request{RequestKey: keys[place-1], At: codec.ToTime(at), Raised: raised, Answer: append([]byte(nil), answer...)}
		copy(r.Fingerprint[:], print)
		into[place-1] = r
		return nil
	})
	return err
}
