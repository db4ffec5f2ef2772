package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// sizeFor is how long what was found out about the log's size is told again: it asks
// the file system for every file of it.
const sizeFor = 5 * time.Second

// sizes is what of the state is dear to find out.
type sizes struct {
	mu     sync.Mutex
	at     time.Time // zero: nothing is known
	units  int
	bytes  int64
	oldest *int64
}

// forget has it found out anew, since much has changed.
func (z *sizes) forget() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.at = time.Time{}
}

// Stats tells how the store is.
func (s *Store) Stats(ctx context.Context) (store.Stats, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.Stats{}, err
	}
	defer leave()
	out := store.Stats{Engine: s.engine}
	var sync, standbys string
	var readOnly bool
	var at schema
	err = s.pool.QueryRow(ctx, `SELECT h.events, h.expired, pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
		current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), m.schema_version, m.works_with FROM grapnel.head AS h, grapnel.meta AS m`).
		Scan(&out.Events, &out.Expired, &readOnly, &sync, &standbys, &at.version, &at.works)
	if err == nil {
		out.Durability = durability(sync, standbys)
		err = s.sizeUp(ctx, &out)
	}
	switch {
	case err != nil && isConnection(err):
		out.Problem = s.way.problem(err)
		return out, nil
	case err != nil:
		return store.Stats{}, fmt.Errorf("read the state of the store: %w", mapped(err))
	case at.usable(s.schema) != nil:
		out.Problem = fmt.Sprintf("the database has schema version %d now, which this program does not work with: replace it by the one that the other servers run", at.version)
	case readOnly:
		out.Problem = "the database takes no writes: it is a standby, or read-only"
	case s.full.Load():
		out.Problem = "the database's disk is full: give it more room; writing goes on by itself then"
	}
	out.Writable = out.Problem == ""
	return out, nil
}

// sizeUp adds what is dear to find out, as it was some seconds ago at most: nothing of
// the time when there were no events.
func (s *Store) sizeUp(ctx context.Context, out *store.Stats) error {
	z := &s.sizes
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.at.IsZero() || time.Since(z.at) > sizeFor || z.oldest == nil && out.Events > 0 {
		err := s.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM grapnel.units), (SELECT min(seq) FROM grapnel.events),
			(SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_catalog.pg_class AS c WHERE c.relnamespace = 'grapnel'::regnamespace AND c.relkind = 'r')`).
			Scan(&z.units, &z.oldest, &z.bytes)
		if err != nil {
			return err
		}
		z.at = time.Now()
	}
	out.Units, out.Bytes = z.units, z.bytes
	if z.oldest != nil {
		out.Oldest = hook.EventIDFrom(*z.oldest, 0).Time()
	}
	return nil
}

// durability says what a commit waits for.
func durability(sync, standbys string) string {
	text := "write-ahead log, flushed at every commit (synchronous_commit=" + sync + ")"
	if standbys == "" || sync == "local" {
		return text + ", no standby is waited for"
	}
	return text + ", also at standbys (" + standbys + ")"
}
