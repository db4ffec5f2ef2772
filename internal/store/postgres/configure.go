package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// channel is what Configure notifies. It is a hint: whoever misses it finds the new
// revision by asking.
const channel = "grapnel_config"

// Configure stores a change in one transaction. Changes take their turn on the row of
// the revision.
func (s *Store) Configure(ctx context.Context, ch *store.Change) (int64, error) {
	if ch.Note && len(ch.Tenants)+len(ch.Endpoints)+len(ch.Types)+len(ch.Pinned) > 0 {
		return 0, errors.New("configure: a note holds keys and replays only")
	}
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var revision int64
	nums := numbersOf(ch)
	err = s.transact(ctx, func(tx pgx.Tx) (err error) {
		nums.restore(ch) // of a try before
		revision, err = s.put(ctx, tx, ch)
		return err
	})
	if err != nil {
		nums.restore(ch)
		return 0, fmt.Errorf("configure: %w", err)
	}
	s.know(revision)
	return revision, nil
}

// transact runs fn in a transaction, again if others got in the way of it.
// store.ErrUnknown: the answer to the commit was lost.
func (s *Store) transact(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return mapped(again(ctx, func() error {
		tx, err := s.pool.BeginTx(ctx, inSteps)
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			_ = tx.Rollback(context.WithoutCancel(ctx)) // a connection that cannot do it is closed, which does it too
			return err
		}
		if err := tx.Commit(ctx); inDoubt(err) {
			return fmt.Errorf("%w: %w", store.ErrUnknown, err)
		} else if err != nil {
			return err
		}
		return nil
	}))
}

// counters is the row of the revision.
type counters struct{ revision, nextTenant, nextEndpoint int64 }

// put stores a change and returns the revision that it leads to.
func (s *Store) put(ctx context.Context, tx pgx.Tx, ch *store.Change) (int64, error) {
	var at counters
	err := tx.QueryRow(ctx, `SELECT n, next_tenant, next_endpoint FROM grapnel.revision FOR UPDATE`).Scan(&at.revision, &at.nextTenant, &at.nextEndpoint)
	if err != nil {
		return 0, err
	}
	if ch.Base != 0 && max(ch.Base, 0) != at.revision {
		return 0, fmt.Errorf("%w: it is %d, the change was made from %d", store.ErrStale, at.revision, ch.Base)
	}
	if ch.Lease != nil {
		partitions, tokens := held(ch.Lease, ^uint64(0))
		if _, err := tx.Exec(ctx, `SELECT grapnel.fence1($1::text, $2::smallint[], $3::bigint[])`, ch.Lease.Node, partitions, tokens); err != nil {
			return 0, err
		}
	}
	if ch.Configures() {
		if !ch.Note {
			at.revision++
		}
		if err := putChange(ctx, tx, ch, &at); err != nil {
			return 0, err
		}
	}
	if ch.Complete != nil {
		if err := ch.Complete(); err != nil {
			return 0, err
		}
	}
	if err := putAudit(ctx, tx, ch); err != nil {
		return 0, err
	}
	return at.revision, s.remember(ctx, tx, ch.Requests)
}

// putChange stores the records of a change as of its revision, in one round trip.
func putChange(ctx context.Context, tx pgx.Tx, ch *store.Change, at *counters) error {
	b := &records{revision: at.revision}
	for _, t := range ch.Tenants {
		if t.Num == 0 {
			t.Num = hook.TenantNum(at.nextTenant)
		}
		at.nextTenant = max(at.nextTenant, int64(t.Num)+1)
		b.add("tenant", t.ID, t, `INSERT INTO grapnel.tenants (doc, rev, num, id, deleted) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (num) DO UPDATE SET id = excluded.id, rev = excluded.rev, deleted = excluded.deleted, doc = excluded.doc`, int64(t.Num), t.ID, t.Deleted)
	}
	for _, e := range ch.Endpoints {
		if e.Num == 0 {
			e.Num = hook.EndpointNum(at.nextEndpoint)
		}
		at.nextEndpoint = max(at.nextEndpoint, int64(e.Num)+1)
		b.add("endpoint", e.ID, e, `INSERT INTO grapnel.endpoints (doc, rev, num, id, tenant, deleted) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (num) DO UPDATE SET id = excluded.id, tenant = excluded.tenant, rev = excluded.rev, deleted = excluded.deleted, doc = excluded.doc`,
			int64(e.Num), e.ID, int64(e.TenantNum), e.Deleted)
	}
	for _, t := range ch.Types {
		b.add("event type", t.Name, t, `INSERT INTO grapnel.types (doc, rev, name, deleted) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET rev = excluded.rev, deleted = excluded.deleted, doc = excluded.doc`, t.Name, t.Deleted)
	}
	for _, k := range ch.Keys {
		b.add("key", k.ID, k, `INSERT INTO grapnel.keys (doc, rev, id, hash, deleted) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, rev = excluded.rev, deleted = excluded.deleted, doc = excluded.doc`, k.ID, k.Hash[:], k.Deleted)
	}
	for _, r := range ch.Replays {
		b.add("replay", r.ID, r, `INSERT INTO grapnel.replays (doc, rev, id, deleted, finished) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET rev = excluded.rev, deleted = excluded.deleted, finished = excluded.finished, doc = excluded.doc`,
			r.ID, r.Deleted, codec.FromTime(r.FinishedAt))
	}
	for _, p := range ch.Pinned {
		b.add("pinned value", p.Name, p, `INSERT INTO grapnel.pinned (doc, rev, name) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET rev = excluded.rev, doc = excluded.doc`, p.Name)
	}
	if b.err != nil {
		return b.err
	}
	b.batch.Queue(`UPDATE grapnel.revision SET n = $1, next_tenant = $2, next_endpoint = $3`, at.revision, at.nextTenant, at.nextEndpoint)
	b.batch.Queue(`SELECT pg_notify($1, $2::bigint::text)`, channel, at.revision)
	return b.send(ctx, tx)
}

// records gathers the statements of a change.
type records struct {
	revision int64
	batch    pgx.Batch
	of       []record
	err      error
}

// record names what a statement is about.
type record struct{ what, id string }

// add adds a record: as JSON, then its revision, then its columns.
func (b *records) add(what, id string, doc any, sql string, columns ...any) {
	text, err := json.Marshal(doc)
	if err != nil {
		b.err = errors.Join(b.err, fmt.Errorf("%s %q: %w", what, id, err))
		return
	}
	b.batch.Queue(sql, append([]any{string(text), b.revision}, columns...)...)
	b.of = append(b.of, record{what, id})
}

// send carries the statements out. A unique value that a live record has already is
// the caller's conflict.
func (b *records) send(ctx context.Context, tx pgx.Tx) error {
	results := tx.SendBatch(ctx, &b.batch)
	var err error
	for i := 0; i < b.batch.Len() && err == nil; i++ {
		if _, err = results.Exec(); i < len(b.of) && isCode(err, codeUnique) {
			err = conflict(b.of[i], err)
		}
	}
	return errors.Join(err, ignoreAfter(err, results.Close()))
}

// ignoreAfter drops an error that only repeats an earlier one.
func ignoreAfter(first, second error) error {
	if first != nil {
		return nil
	}
	return second
}

func conflict(r record, cause error) error {
	c := hook.Errorf(hook.CodeConflict, "there is a %s %q already", r.what, r.id)
	if r.what == "key" {
		c.Message = "this key is in use already"
	}
	c.Err = cause
	return c
}

// numbers remembers the numbers in a change, to take back those that were given.
type numbers struct {
	tenants   []hook.TenantNum
	endpoints []hook.EndpointNum
}

func numbersOf(ch *store.Change) numbers {
	var n numbers
	for _, t := range ch.Tenants {
		n.tenants = append(n.tenants, t.Num)
	}
	for _, e := range ch.Endpoints {
		n.endpoints = append(n.endpoints, e.Num)
	}
	return n
}

func (n numbers) restore(ch *store.Change) {
	for i, t := range ch.Tenants {
		t.Num = n.tenants[i]
	}
	for i, e := range ch.Endpoints {
		e.Num = n.endpoints[i]
	}
}
