package sqlite

import (
	"context"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Pending returns recorded pending deliveries of a lane, oldest events first.
func (s *Store) Pending(ctx context.Context, endpoint hook.EndpointNum, from hook.EventID, limit int) (store.FreshPage, error) {
	if err := s.enter(ctx); err != nil {
		return store.FreshPage{}, err
	}
	defer s.leave()
	var page store.FreshPage
	for _, g := range s.list() {
		if _, ok := g.pendingOf(endpoint); !ok || g.lastID() < from.Seq() {
			continue
		}
		if err := s.read(ctx, g, func(c *connection) error { return c.pendingInOrder(endpoint, from, limit, &page) }); err != nil {
			return store.FreshPage{}, fmt.Errorf("read what is pending of endpoint %d: %w", endpoint, err)
		}
		if !page.Next.IsZero() {
			break
		}
	}
	return page, nil
}

// pendingInOrder adds a segment's pending deliveries, and sets Next when there
// are more than there is room for.
func (c *connection) pendingInOrder(endpoint hook.EndpointNum, from hook.EventID, limit int, page *store.FreshPage) error {
	type row struct{ number, event int64 }
	var rows []row
	err := c.query(`SELECT number, event FROM deliveries INDEXED BY pending WHERE state = 1 AND endpoint = ? AND event >= ? ORDER BY number LIMIT ?`,
		[]any{int64(endpoint), from.Seq(), limit - len(page.Work) + 1}, func(st *sqlite3.Stmt) bool {
			rows = append(rows, row{st.ColumnInt64(0), st.ColumnInt64(1)})
			return true
		})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if len(page.Work) >= limit {
			page.Next = hook.EventIDFrom(r.event, 0)
			return nil
		}
		w, err := c.work(r.number)
		if err != nil {
			return err
		}
		if w != nil {
			page.Work = append(page.Work, w)
		}
	}
	return nil
}
