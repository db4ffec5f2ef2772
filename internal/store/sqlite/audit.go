package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var _ store.Auditor = (*Store)(nil)

// putAudit adds the entries of a change to the audit log.
func putAudit(c *connection, ch *store.Change) error {
	ch.NumberAudit()
	for _, e := range ch.Audit {
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write the audit log: %w", err)
		}
		if err := c.exec(`INSERT INTO audit (at, tenant, doc) VALUES (?, ?, ?)`, codec.FromTime(e.At), int64(e.TenantNum), string(text)); err != nil {
			return err
		}
	}
	return nil
}

// The conditions of AuditLog: a tenant's entries are found by their index.
const (
	auditAll    = `SELECT num, doc FROM audit WHERE ?1 = -1 AND num > ?2 AND num < ?3 AND at >= ?4 AND at < ?5 ORDER BY num `
	auditTenant = `SELECT num, doc FROM audit WHERE tenant = ?1 AND num > ?2 AND num < ?3 AND at >= ?4 AND at < ?5 ORDER BY num `
)

// AuditLog lists entries of the audit log.
func (s *Store) AuditLog(ctx context.Context, q store.AuditQuery) (store.AuditPage, error) {
	if err := s.enter(ctx); err != nil {
		return store.AuditPage{}, err
	}
	defer s.leave()
	sql, order := auditAll, "DESC LIMIT ?6"
	if q.Tenant != hook.AllTenants {
		sql = auditTenant
	}
	if q.Oldest {
		order = "LIMIT ?6"
	}
	before, until := q.Before, int64(math.MaxInt64)
	if before == 0 {
		before = math.MaxInt64
	}
	if !q.Until.IsZero() {
		until = codec.FromTime(q.Until)
	}
	var found []*hook.AuditEntry
	err := s.control.read(ctx, func(c *connection) error {
		var bad error
		err := c.query(sql+order, []any{int64(q.Tenant), q.After, before, codec.FromTime(q.Since), until, int64(q.Limit + 1)}, func(st *sqlite3.Stmt) bool {
			e := new(hook.AuditEntry)
			bad = json.Unmarshal(st.ColumnRawText(1), e)
			e.Num = st.ColumnInt64(0)
			found = append(found, e)
			return bad == nil
		})
		return errors.Join(err, bad)
	})
	if err != nil {
		return store.AuditPage{}, fmt.Errorf("read the audit log: %w", err)
	}
	return store.PageOfAudit(found, q.Limit), nil
}

// forgetAudit removes the entries of the audit log from before an instant, some at a
// time, so that others get their turn. The latest one stays, for its number is what
// the next one's follows.
func (s *Store) forgetAudit(ctx context.Context, before time.Time) error {
	for old := !before.IsZero(); old && ctx.Err() == nil; {
		err := s.control.write(func(c *connection) error {
			err := c.exec(`DELETE FROM audit WHERE num IN (SELECT num FROM audit WHERE at < ? AND num < (SELECT max(num) FROM audit) ORDER BY at LIMIT ?)`,
				codec.FromTime(before), forgetAtOnce)
			old = c.db.Changes() == forgetAtOnce
			return err
		})
		if err != nil {
			return fmt.Errorf("forget old entries of the audit log: %w", err)
		}
	}
	return ctx.Err()
}
