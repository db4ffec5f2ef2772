package sqlite

import (
	"slices"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
)

// ofEndpoint lists up to n of an endpoint's deliveries: of events at from and
// above upwards, or at from and below downwards.
func (g *segment) ofEndpoint(c *connection, e hook.EndpointNum, from int64, down bool, n int) (out []delivery, err error) {
	if x := g.memory(); x != nil {
		return x.ofEndpoint(e, from, down, n), nil
	}
	sql, start := `SELECT first, entries FROM by_endpoint WHERE endpoint = ? AND first <= ? ORDER BY first DESC`, from
	if !down {
		sql = `SELECT first, entries FROM by_endpoint WHERE endpoint = ? AND first >= ? ORDER BY first`
		start, err = c.int(`SELECT max(first) FROM by_endpoint WHERE endpoint = ? AND first <= ?`, int64(e), from)
		if err != nil {
			return nil, err
		}
	}
	var bad error
	err = c.query(sql, []any{int64(e), start}, func(st *sqlite3.Stmt) bool {
		var list []delivery
		list, bad = parseDeliveries(st.ColumnRawBlob(1), st.ColumnInt64(0))
		if down {
			slices.Reverse(list)
		}
		for _, d := range list {
			if (down && d.event <= from || !down && d.event >= from) && len(out) < n {
				out = append(out, d)
			}
		}
		return bad == nil && len(out) < n
	})
	if err == nil {
		err = bad
	}
	return out, err
}

// ofTenant lists up to n of a tenant's events at from and below, newest first;
// tenant 0 means all.
func (g *segment) ofTenant(c *connection, tenant hook.TenantNum, from int64, n int) (out []int64, err error) {
	if tenant == 0 {
		err = c.query(`SELECT id FROM events WHERE id <= ? ORDER BY id DESC LIMIT ?`, []any{from, n}, func(st *sqlite3.Stmt) bool {
			out = append(out, st.ColumnInt64(0))
			return true
		})
		return out, err
	}
	if x := g.memory(); x != nil {
		return x.ofTenant(tenant, from, n), nil
	}
	var bad error
	err = c.query(`SELECT first, entries FROM by_tenant WHERE tenant = ? AND first <= ? ORDER BY first DESC`, []any{int64(tenant), from}, func(st *sqlite3.Stmt) bool {
		var list []int64
		list, bad = parseIDs(st.ColumnRawBlob(1), st.ColumnInt64(0))
		for _, id := range slices.Backward(list) {
			if id <= from && len(out) < n {
				out = append(out, id)
			}
		}
		return bad == nil && len(out) < n
	})
	if err == nil {
		err = bad
	}
	return out, err
}
