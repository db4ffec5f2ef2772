package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const (
	// pendingSorted is up to how many pending rows of a lane in a segment are
	// sorted for a page. Where there are more, the lane is walked along.
	pendingSorted = 256
	// pendingScan is how many deliveries a walk looks at.
	pendingScan = 2000
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
		if err := s.read(ctx, g, func(c *connection) error { return c.pendingInOrder(endpoint, from.Seq(), limit, &page) }); err != nil {
			return store.FreshPage{}, fmt.Errorf("read what is pending of endpoint %d: %w", endpoint, err)
		}
		if !page.Next.IsZero() {
			break
		}
	}
	return page, nil
}

// pendingInOrder adds a segment's pending deliveries, and sets Next when there
// are more than there is room for, or enough was looked at.
func (c *connection) pendingInOrder(endpoint hook.EndpointNum, from int64, limit int, page *store.FreshPage) error {
	var list []delivery
	err := c.query(`SELECT number, event FROM deliveries INDEXED BY pending WHERE state = 1 AND endpoint = ? LIMIT ?`,
		[]any{int64(endpoint), pendingSorted + 1}, func(st *sqlite3.Stmt) bool {
			list = append(list, delivery{number: st.ColumnInt64(0), event: st.ColumnInt64(1)})
			return true
		})
	if err != nil {
		return err
	}
	if len(list) > pendingSorted {
		return c.walkPending(endpoint, from, limit, page)
	}
	slices.SortFunc(list, func(a, b delivery) int { return compare(a.number, b.number) })
	for _, d := range list {
		if d.event < from {
			continue
		}
		if more, err := c.addPending(d, limit, page); err != nil || !more {
			return err
		}
	}
	return nil
}

// walkPending adds what is pending among a lane's deliveries, which lie in the
// order of events. So a page costs the same however many are pending.
func (c *connection) walkPending(endpoint hook.EndpointNum, from int64, limit int, page *store.FreshPage) error {
	rows, err := c.follow(`SELECT number, state FROM deliveries WHERE number >= ? ORDER BY number`, 0)
	if err != nil {
		return err
	}
	defer rows.reset()
	last := int64(math.MinInt64 / 2)
	for left := pendingScan; ; {
		n := min(left, max(limit-len(page.Work), 64)) + 1
		list, err := c.ofEndpoint(endpoint, from, false, n)
		if err != nil {
			return err
		}
		for _, d := range list {
			if left == 0 {
				page.Next = hook.EventIDFrom(d.event, 0)
				return nil
			}
			left--
			there, err := rows.reach(d.number, d.number-last)
			last = d.number
			switch {
			case err != nil:
				return err
			case rows.at == math.MaxInt64:
				return nil // no row is left
			case !there || hook.DeliveryState(rows.st.ColumnInt64(1)) != hook.Pending:
				continue
			}
			if more, err := c.addPending(d, limit, page); err != nil || !more {
				return err
			}
		}
		if len(list) < n {
			return nil
		}
		from = list[n-1].event + 1
	}
}

// addPending adds a pending delivery. It returns false when the page ends before
// it.
func (c *connection) addPending(d delivery, limit int, page *store.FreshPage) (more bool, err error) {
	if len(page.Work) >= limit {
		page.Next = hook.EventIDFrom(d.event, 0)
		return false, nil
	}
	w, err := c.work(d.number)
	if w != nil {
		page.Work = append(page.Work, w)
	}
	return true, err
}
