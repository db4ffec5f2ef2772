package sqlite

import (
	"slices"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
)

// listUpwards are the rows of an endpoint that may have events at an id and above.
const listUpwards = `SELECT first, entries FROM by_endpoint WHERE endpoint = ?1
	AND first >= coalesce((SELECT max(first) FROM by_endpoint WHERE endpoint = ?1 AND first <= ?2), 0) ORDER BY first`

// ofEndpoint lists up to n of an endpoint's deliveries: of events at from and
// above upwards, or at from and below downwards.
func (c *connection) ofEndpoint(e hook.EndpointNum, from int64, down bool, n int) (out []delivery, err error) {
	if x := c.index; x != nil {
		return x.ofEndpoint(e, from, down, n), nil
	}
	sql := `SELECT first, entries FROM by_endpoint WHERE endpoint = ?1 AND first <= ?2 ORDER BY first DESC`
	if !down {
		sql = listUpwards
	}
	var bad error
	err = c.query(sql, []any{int64(e), from}, func(st *sqlite3.Stmt) bool {
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

// ofTenant lists up to n of a tenant's events: at from and above upwards, or at
// from and below downwards. hook.AllTenants means all.
func (c *connection) ofTenant(tenant hook.TenantNum, from int64, down bool, n int) (out []int64, err error) {
	if tenant == hook.AllTenants {
		return c.events(from, down, n)
	}
	if x := c.index; x != nil {
		return x.ofTenant(tenant, from, down, n), nil
	}
	sql, start := `SELECT first, entries FROM by_tenant WHERE tenant = ? AND first <= ? ORDER BY first DESC`, from
	if !down {
		sql = `SELECT first, entries FROM by_tenant WHERE tenant = ? AND first >= ? ORDER BY first`
		start, err = c.int(`SELECT max(first) FROM by_tenant WHERE tenant = ? AND first <= ?`, int64(tenant), from)
		if err != nil {
			return nil, err
		}
	}
	var bad error
	err = c.query(sql, []any{int64(tenant), start}, func(st *sqlite3.Stmt) bool {
		var list []int64
		list, bad = parseIDs(st.ColumnRawBlob(1), st.ColumnInt64(0))
		if down {
			slices.Reverse(list)
		}
		for _, id := range list {
			if (down && id <= from || !down && id >= from) && len(out) < n {
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

// events lists up to n events of all tenants.
func (c *connection) events(from int64, down bool, n int) (out []int64, err error) {
	sql := `SELECT id FROM events WHERE id >= ? ORDER BY id LIMIT ?`
	if down {
		sql = `SELECT id FROM events WHERE id <= ? ORDER BY id DESC LIMIT ?`
	}
	err = c.query(sql, []any{from, n}, func(st *sqlite3.Stmt) bool {
		out = append(out, st.ColumnInt64(0))
		return true
	})
	return out, err
}
