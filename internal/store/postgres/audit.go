package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var _ store.Auditor = (*Store)(nil)

// putAudit adds the entries of a change to the audit log. No other change is at it:
// they take their turn.
func putAudit(ctx context.Context, tx pgx.Tx, ch *store.Change) error {
	if len(ch.Audit) == 0 {
		return nil
	}
	ch.NumberAudit()
	var ats, tenants []int64
	var docs []string
	for _, e := range ch.Audit {
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write the audit log: %w", err)
		}
		ats, tenants, docs = append(ats, codec.FromTime(e.At)), append(tenants, int64(e.TenantNum)), append(docs, string(text))
	}
	_, err := tx.Exec(ctx, `INSERT INTO grapnel.audit (num, at, tenant, doc)
		SELECT coalesce((SELECT max(a.num) FROM grapnel.audit AS a), 0) + e.place, e.at, e.tenant, e.doc
		FROM unnest($1::bigint[], $2::bigint[], $3::text[]) WITH ORDINALITY AS e (at, tenant, doc, place)`, ats, tenants, docs)
	return err
}

// AuditLog lists entries of the audit log.
func (s *Store) AuditLog(ctx context.Context, q store.AuditQuery) (store.AuditPage, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.AuditPage{}, err
	}
	defer leave()
	sql := `SELECT num, doc FROM grapnel.audit WHERE ($1::bigint = -1 OR tenant = $1) AND num > $2::bigint AND num < $3::bigint AND at >= $4::bigint AND at < $5::bigint ORDER BY num `
	if !q.Oldest {
		sql += "DESC "
	}
	before, until := q.Before, int64(math.MaxInt64)
	if before == 0 {
		before = math.MaxInt64
	}
	if !q.Until.IsZero() {
		until = codec.FromTime(q.Until)
	}
	rows, err := s.pool.Query(ctx, sql+"LIMIT $6", int64(q.Tenant), q.After, before, codec.FromTime(q.Since), until, int64(q.Limit)+1)
	if err != nil {
		return store.AuditPage{}, fmt.Errorf("read the audit log: %w", mapped(err))
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*hook.AuditEntry, error) {
		e, doc, num := new(hook.AuditEntry), "", int64(0)
		if err := row.Scan(&num, &doc); err != nil {
			return nil, err
		}
		err := json.Unmarshal([]byte(doc), e)
		e.Num = num
		return e, err
	})
	if err != nil {
		return store.AuditPage{}, fmt.Errorf("read the audit log: %w", mapped(err))
	}
	return store.PageOfAudit(found, q.Limit), nil
}

// forgetAudit removes the entries of the audit log from before an instant, some at a
// time. The latest one stays, for its number is what the next one's follows.
func (s *Store) forgetAudit(ctx context.Context, before time.Time) error {
	for old := !before.IsZero(); old && ctx.Err() == nil; {
		tag, err := s.pool.Exec(ctx, `DELETE FROM grapnel.audit WHERE num IN (
			SELECT num FROM grapnel.audit WHERE at < $1 AND num < (SELECT max(num) FROM grapnel.audit) ORDER BY at LIMIT $2)`, codec.FromTime(before), forgetAtOnce)
		if err != nil {
			return fmt.Errorf("forget old entries of the audit log: %w", mapped(err))
		}
		old = tag.RowsAffected() == forgetAtOnce
	}
	return ctx.Err()
}
