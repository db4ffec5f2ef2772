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

var _ store.Inbox = (*Store)(nil)

// Rule tells the database what grapnel.publish is to check.
func (s *Store) Rule(ctx context.Context, r store.InboxRules) error {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return err
	}
	defer leave()
	_, err = s.pool.Exec(ctx, `UPDATE grapnel.inbox_rules SET max_bytes = $1, window_ms = $2 WHERE (max_bytes, window_ms) <> ($1, $2)`, r.MaxBytes, r.Window.Milliseconds())
	if err != nil {
		return fmt.Errorf("tell the database what may be published: %w", mapped(err))
	}
	return nil
}

// Waiting returns what waits in the inbox. It locks nothing: who moves it takes it out
// by Append, all of it or nothing.
func (s *Store) Waiting(ctx context.Context, q store.InboxQuery) ([]*store.Waiting, error) {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var ours bool
	if err := s.pool.QueryRow(ctx, `SELECT grapnel.mover1($1::text, $2::interval)`, q.Node, q.For).Scan(&ours); err != nil || !ours {
		return nil, mapped(err)
	}
	skip := make([]int64, len(q.Skip))
	for i, t := range q.Skip {
		skip[i] = int64(t)
	}
	rows, err := s.pool.Query(ctx, `SELECT tenant, n, coalesce(name, ''), at, coalesce(time, 0), time IS NOT NULL, suppress, key, type, data, metadata, previous, coalesce(ordering, '')
		FROM grapnel.waiting1($1::bigint, $2::bigint[], $3::bigint, $4::bigint, $3::bigint, $5::bigint)`, int64(q.After), skip, q.Limit, q.Each, q.Bytes)
	if err != nil {
		return nil, mapped(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*store.Waiting, error) {
		var w store.Waiting
		return &w, scanWaiting(row, &w)
	})
	if err != nil {
		return nil, fmt.Errorf("read the inbox: %w", mapped(err))
	}
	return all, nil
}

// Backlog tells how much waits.
func (s *Store) Backlog(ctx context.Context) (store.InboxBacklog, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.InboxBacklog{}, err
	}
	defer leave()
	var out store.InboxBacklog
	var oldest *int64
	err = s.pool.QueryRow(ctx, `SELECT count(*), min(at) FROM (SELECT at FROM grapnel.inbox LIMIT $1) AS w`, store.MaxBacklog).Scan(&out.Waiting, &oldest)
	if err != nil {
		return out, fmt.Errorf("count the inbox: %w", mapped(err))
	}
	if oldest != nil {
		out.Oldest = codec.ToTime(*oldest)
	}
	return out, nil
}

// scanWaiting reads a row of waiting1's shape, and what follows it.
func scanWaiting(row pgx.CollectableRow, w *store.Waiting, more ...any) error {
	var at, ms int64
	var timed bool
	var data string
	var metadata, previous *string
	err := row.Scan(append([]any{&w.Tenant, &w.N, &w.TenantID, &at, &ms, &timed, &w.Suppress, &w.Key, &w.Type, &data, &metadata, &previous, &w.Ordering}, more...)...)
	w.At, w.Data, w.Metadata, w.Previous = codec.ToTime(at), []byte(data), bytesOf(metadata), bytesOf(previous)
	if timed {
		w.Time = time.UnixMilli(ms).UTC()
	}
	return err
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

const rejectedColumns = `SELECT r.tenant, r.n, coalesce(t.id, ''), r.at, coalesce(r.time, 0), r.time IS NOT NULL, r.suppress, r.key, r.type, r.data, r.metadata, r.previous, coalesce(r.ordering, ''),
	r.rejected_at, r.code, r.reason
	FROM grapnel.rejected AS r LEFT JOIN grapnel.tenants AS t ON t.num = r.tenant AND NOT t.deleted `

func scanRejected(row pgx.CollectableRow) (*store.Rejected, error) {
	var r store.Rejected
	var at int64
	err := scanWaiting(row, &r.Waiting, &at, &r.Code, &r.Reason)
	r.RejectedAt = codec.ToTime(at)
	return &r, err
}

// Rejected lists events that could not be taken, the latest call first.
func (s *Store) Rejected(ctx context.Context, q store.RejectedQuery) ([]*store.Rejected, error) {
	return s.rejected(ctx, `WHERE r.tenant = $1 AND ($2 = '' OR r.key = $2) AND ($3 = 0 OR r.n < $3) ORDER BY r.n DESC LIMIT $4`, int64(q.Tenant), q.Key, q.Before, q.Limit)
}

// Untold returns rejected events that Told has not been called of.
func (s *Store) Untold(ctx context.Context, limit int) ([]*store.Rejected, error) {
	return s.rejected(ctx, `WHERE NOT r.told ORDER BY r.tenant, r.n LIMIT $1`, limit)
}

func (s *Store) rejected(ctx context.Context, which string, args ...any) ([]*store.Rejected, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	rows, err := s.pool.Query(ctx, rejectedColumns+which, args...)
	if err != nil {
		return nil, mapped(err)
	}
	all, err := pgx.CollectRows(rows, scanRejected)
	if err != nil {
		return nil, fmt.Errorf("read rejected events: %w", mapped(err))
	}
	return all, nil
}

// Told notes of rejected events that their tenants know of them.
func (s *Store) Told(ctx context.Context, places []store.InboxPlace) error {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return err
	}
	defer leave()
	tenants, ns := make([]int64, len(places)), make([]int64, len(places))
	for i, p := range places {
		tenants[i], ns[i] = int64(p.Tenant), p.N
	}
	_, err = s.pool.Exec(ctx, `UPDATE grapnel.rejected AS r SET told = true FROM unnest($1::bigint[], $2::bigint[]) AS q (tenant, n) WHERE r.tenant = q.tenant AND r.n = q.n`, tenants, ns)
	if err != nil {
		return fmt.Errorf("note that rejected events were told of: %w", mapped(err))
	}
	return nil
}

// How much is kept of what was rejected, and how much of it is removed in one transaction.
const (
	keptRejected         = 10_000 // of a tenant, the latest
	forgetRejectedAtOnce = 5000
)

// beyondSQL finds the place of each tenant up to which there is more than is kept. It steps
// from tenant to tenant in the index.
const beyondSQL = `WITH RECURSIVE step (num) AS (
	(SELECT r.tenant FROM grapnel.rejected AS r ORDER BY r.tenant LIMIT 1)
	UNION ALL
	SELECT (SELECT r.tenant FROM grapnel.rejected AS r WHERE r.tenant > step.num ORDER BY r.tenant LIMIT 1) FROM step WHERE step.num IS NOT NULL
)
SELECT step.num, last.n FROM step CROSS JOIN LATERAL (
	SELECT r.n FROM grapnel.rejected AS r WHERE r.tenant = step.num ORDER BY r.n DESC OFFSET $1 LIMIT 1) AS last`

// forgetRejected removes events that were rejected before a time, and those of tenants that
// have more than are kept.
func (s *Store) forgetRejected(ctx context.Context, before time.Time) error {
	if err := s.forgetOf(ctx, `r.rejected_at < $1`, codec.FromTime(before)); err != nil {
		return err
	}
	rows, err := s.pool.Query(ctx, beyondSQL, keptRejected)
	if err != nil {
		return err
	}
	beyond, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Tenant, N int64 }])
	if err != nil {
		return err
	}
	for _, b := range beyond {
		if err := s.forgetOf(ctx, `r.tenant = $1 AND r.n <= $2`, b.Tenant, b.N); err != nil {
			return err
		}
	}
	return nil
}

// forgetOf removes rejected events, some in each transaction.
func (s *Store) forgetOf(ctx context.Context, which string, args ...any) error {
	sql := fmt.Sprintf(`DELETE FROM grapnel.rejected WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM grapnel.rejected AS r WHERE %s LIMIT %d))`, which, forgetRejectedAtOnce)
	for {
		tag, err := s.pool.Exec(ctx, sql, args...)
		if err != nil || tag.RowsAffected() < forgetRejectedAtOnce {
			return err
		}
	}
}

// withTaken is a statement that calls one function, with n arguments, and takes rows out
// of the inbox too: both are done, or neither.
func withTaken(statement string, n int) string {
	return statement + fmt.Sprintf(", grapnel.take1($%d::bigint[], $%d::bigint[], $%d::text[], $%d::text[]) AS taken", n+1, n+2, n+3, n+4)
}

// takenArgs are the arguments of take1.
func takenArgs(taken []store.Taken) []any {
	tenants, ns := make([]int64, len(taken)), make([]int64, len(taken))
	codes, reasons := make([]string, len(taken)), make([]string, len(taken))
	for i, t := range taken {
		tenants[i], ns[i] = int64(t.Tenant), t.N
		if t.Err != nil {
			codes[i], reasons[i] = string(t.Err.Code), reasonOf(t.Err)
		}
	}
	return []any{tenants, ns, codes, reasons}
}

// reasonOf is what its tenant may know of an error.
func reasonOf(err *hook.Error) string {
	if err.Field == "" {
		return err.Message
	}
	return err.Field + ": " + err.Message
}
