package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// pruneTime is how long a call of Prune may take: what is long about it nobody
// waits for.
const pruneTime = time.Hour

// Prune removes units whose events are all old enough, or which are too much, and
// which hold nothing that can still be sent. Several nodes may call it at once: what
// one is at, others leave to it.
func (s *Store) Prune(ctx context.Context, q store.PruneQuery) (store.Pruned, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return store.Pruned{}, store.ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, writing{}, true), pruneTime)
	defer cancel()
	defer s.sizes.forget()
	fast, err := s.fast(ctx)
	if err != nil {
		return store.Pruned{}, fmt.Errorf("prune: %w", mapped(err))
	}
	q = slower(q, fast)
	p := &pruner{s: s, q: q, out: store.Pruned{Expired: map[hook.EndpointNum]int64{}}}
	if err := p.prune(ctx); err != nil {
		return p.out, fmt.Errorf("prune: %w", mapped(err))
	}
	return p.out, nil
}

// fast is how far this machine's clock is ahead of the server's; 0 where it is not.
func (s *Store) fast(ctx context.Context) (time.Duration, error) {
	var ms int64
	now := s.now()
	err := s.pool.QueryRow(ctx, `SELECT grapnel.clock1()`).Scan(&ms)
	return max(0, now.Sub(time.UnixMilli(ms))), err
}

// slower is a query whose times were reckoned by a clock that is so much ahead: what is
// not old by the server's clock stays (case 31).
func slower(q store.PruneQuery, fast time.Duration) store.PruneQuery {
	if fast < time.Second { // on the way to the server and back
		return q
	}
	for _, t := range []*time.Time{&q.Before, &q.Requests, &q.Audit} {
		if !t.IsZero() {
			*t = t.Add(-fast)
		}
	}
	return q
}

// pruner is a call of Prune.
type pruner struct {
	s    *Store
	q    store.PruneQuery
	out  store.Pruned
	open int64 // progress leaves open what is from here on
}

func (p *pruner) prune(ctx context.Context) error {
	if !p.q.DryRun {
		if err := p.s.forget(ctx, p.q); err != nil {
			return err
		}
		if err := p.s.forgetAudit(ctx, p.q.Audit); err != nil {
			return err
		}
		if err := p.buryAll(ctx); err != nil { // what a crash left
			return err
		}
	}
	units, err := p.s.units(ctx)
	if err != nil {
		return err
	}
	if p.open, err = p.s.progress(ctx); err != nil {
		return err
	}
	total := int64(0)
	for _, u := range units {
		total += u.bytes
	}
	for _, u := range units {
		much := p.q.Bytes > 0 && total > p.q.Bytes && u.sealed
		if !p.old(u) && !much {
			continue
		}
		pinned, err := p.remove(ctx, u)
		switch {
		case err != nil:
			return fmt.Errorf("remove %s: %w", u, err)
		case !pinned:
			total -= u.bytes
		case much:
			p.out.Pinned++
		}
	}
	if p.q.Bytes > 0 {
		p.out.Over = max(0, total-p.q.Bytes)
	}
	return nil
}

// old reports whether all events of a unit are from before the time that is asked
// for. One that has none, as those that are made ahead, is as old as its end.
func (p *pruner) old(u unit) bool {
	before := hook.FirstEventID(p.q.Before).Seq()
	if u.last == 0 {
		return u.sealed && u.until <= before
	}
	return u.last < before
}

// progress is the first event that some lane may have something fresh of.
func (s *Store) progress(ctx context.Context) (from int64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT least((SELECT CASE WHEN count(*) < $1 THEN 0 ELSE min(seq) END FROM grapnel.floors),
		(SELECT min(seq) FROM grapnel.lane_marks))`, store.Partitions).Scan(&from)
	return from, err
}

// remove removes one unit, unless it is pinned. The long look for what can still be
// sent is done first; what can have changed meanwhile is looked at again while nobody
// can get at the unit.
func (p *pruner) remove(ctx context.Context, u unit) (pinned bool, err error) {
	end := newEnd()
	pinned, err = p.look(ctx, u, end)
	if isCode(err, codeNoTable) {
		return false, nil // another node has removed it meanwhile
	}
	if err != nil || pinned {
		return pinned, err
	}
	if !p.q.DryRun {
		found, err := p.takeOut(ctx, u)
		if errors.Is(err, errPinned) {
			return true, nil
		}
		if err != nil || !found {
			return false, err // where it is not found, somebody else has removed it
		}
		if end, err = p.s.bury(ctx, u, p.open); err != nil || end == nil {
			return false, err
		}
	}
	p.count(end)
	return false, nil
}

// count tells what ended with a unit.
func (p *pruner) count(end *unitEnd) {
	p.out.Units++
	p.out.Events += end.events
	for e, n := range end.expired {
		p.out.Expired[e] += n
	}
}

func (p *pruner) inactive(e hook.EndpointNum) bool { return p.q.Inactive != nil && p.q.Inactive(e) }

// look finds out whether a unit of the log is pinned, and if not, and nothing is to be
// changed, what would end with it.
func (p *pruner) look(ctx context.Context, u unit, end *unitEnd) (pinned bool, err error) {
	if pinned, err = p.pinned(ctx, p.s.pool, u.table("deliveries")); err != nil || pinned {
		return pinned, err
	}
	err = unrecordedIn(ctx, p.s.pool, u, u.table, max(u.first, p.open), func(e hook.EndpointNum) bool {
		pinned = !p.inactive(e)
		end.expired[e]++
		return !pinned
	})
	if err != nil || pinned || !p.q.DryRun {
		return pinned, err
	}
	return false, countEnd(ctx, p.s.pool, u, "units", u.table, end)
}

// database is a pool or a transaction.
type database interface {
	querier
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// pinned reports whether a table of deliveries has a pending one of an active
// endpoint. It steps from endpoint to endpoint, however many deliveries each has.
func (p *pruner) pinned(ctx context.Context, db database, table string) (bool, error) {
	rows, err := db.Query(ctx, `WITH RECURSIVE e (endpoint) AS (
			(SELECT endpoint FROM `+table+` WHERE state = 1 ORDER BY endpoint LIMIT 1)
			UNION ALL
			SELECT (SELECT d.endpoint FROM `+table+` AS d WHERE d.state = 1 AND d.endpoint > e.endpoint ORDER BY d.endpoint LIMIT 1) FROM e WHERE e.endpoint IS NOT NULL
		) SELECT endpoint FROM e WHERE endpoint IS NOT NULL`)
	if err != nil {
		return false, err
	}
	var endpoint int64
	pinned := false
	_, err = pgx.ForEachRow(rows, []any{&endpoint}, func() error {
		pinned = pinned || !p.inactive(hook.EndpointNum(endpoint))
		return nil
	})
	return pinned, err
}

// errPinned rolls a removal back.
var errPinned = errors.New("the unit holds what can still be sent, or is written to")

// takeOut takes a unit's tables out of the log, in one short transaction, unless it is pinned by
// now or has got events that are not to go.
func (p *pruner) takeOut(ctx context.Context, u unit) (found bool, err error) {
	err = p.s.patiently(ctx, func() error {
		return pgx.BeginTxFunc(ctx, p.s.pool, inSteps, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, lockTimeSQL); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `SELECT detached FROM grapnel.detach1($1::bigint, $2::bigint)`, u.first, p.open).Scan(&found); err != nil || !found {
				return err
			}
			if !u.sealed {
				if err := tx.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM `+u.gone("events")).Scan(&u.last); err != nil {
					return err
				}
				if !p.old(u) {
					return errPinned
				}
			}
			pinned, err := p.pinned(ctx, tx, u.gone("deliveries"))
			if err == nil && pinned {
				err = errPinned
			}
			return err
		})
	})
	return found, err
}

// lockTimeSQL bounds how long all others may have to wait behind who wants a table
// for himself.
const lockTimeSQL = `SET LOCAL lock_timeout = '50ms'`

// unitTries is how often a unit is tried to be taken out while it is in use.
const unitTries = 20

// patiently runs fn while nobody has the log's tables for long, until it gets what it
// needs of them.
func (s *Store) patiently(ctx context.Context, fn func() error) error {
	for n := 1; ; n++ {
		who, err := s.inUse(ctx)
		if err == nil && who != "" {
			err = fmt.Errorf("the log is in use by %s: nothing can be removed before that ends", who)
		} else if err == nil {
			if err = fn(); !isCode(err, codeLocked, codeDeadlock) {
				return err
			}
		}
		if n == unitTries {
			return err
		}
		select {
		case <-time.After(time.Duration(min(50*n, 500)) * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// forgetKeysAtOnce is how many events' keys are removed in one transaction.
const forgetKeysAtOnce = 5000

// forget removes tombstones of replays that ended before, and requests.
func (s *Store) forget(ctx context.Context, q store.PruneQuery) error {
	if !q.Before.IsZero() {
		_, err := s.pool.Exec(ctx, `DELETE FROM grapnel.replays WHERE deleted AND finished > 0 AND finished < $1`, codec.FromTime(q.Before))
		if err == nil {
			err = s.forgetRejected(ctx, q.Before)
		}
		if err != nil {
			return err
		}
	}
	before := q.Requests
	if before.IsZero() {
		before = q.Before
	}
	if before.IsZero() {
		return nil
	}
	for more := true; more; {
		tag, err := s.pool.Exec(ctx, forgetSQL, codec.FromTime(before), forgetAtOnce, 0)
		if err != nil {
			return err
		}
		more = tag.RowsAffected() == forgetAtOnce
	}
	return s.forgetAppended(ctx, codec.FromTime(before))
}

// forgetPages is how many pages of the table of requests one transaction goes
// through.
const forgetPages = 512

// forgetAppended removes requests that brought events. It goes through the table from
// its beginning to its end, a few pages at a time: an index that would find them costs
// every append, and looking from the beginning again and again would meet what was
// removed already.
func (s *Store) forgetAppended(ctx context.Context, before int64) error {
	var some bool
	var pages int64
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM grapnel.requests WHERE at < $1), pg_relation_size('grapnel.requests') / current_setting('block_size')::bigint`,
		before).Scan(&some, &pages)
	if err != nil || !some {
		return err
	}
	for page := int64(0); page < pages; page += forgetPages {
		_, err := s.pool.Exec(ctx, fmt.Sprintf(`DELETE FROM grapnel.requests WHERE ctid >= '(%d,0)' AND ctid < '(%d,0)' AND at < $1`, page, page+forgetPages), before)
		if err != nil {
			return err
		}
	}
	return nil
}
