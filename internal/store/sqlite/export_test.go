package sqlite

import (
	"context"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Settle seals what is full and waits for it.
func (s *Store) Settle() error { return s.maintain() }

// HoldUpkeep keeps segments from being sealed until release is called.
func (s *Store) HoldUpkeep() (release func()) {
	s.maintaining.Lock()
	return s.maintaining.Unlock
}

// HoldWrites keeps the active segment's writer in a transaction of its own until
// release is called.
func (s *Store) HoldWrites() (release func()) {
	begun, end := make(chan struct{}), make(chan struct{})
	o := newOp(nil, func(*tx) error {
		close(begun)
		<-end
		return nil
	})
	s.writes <- o
	<-begun
	return func() {
		close(end)
		<-o.done
	}
}

// WaitingWrites is how many calls wait for the writer.
func (s *Store) WaitingWrites() int { return len(s.writes) }

// ListTwice lists up to n of a tenant's events in the first segment twice in one
// read, and calls between.
func (s *Store) ListTwice(ctx context.Context, tenant hook.TenantNum, n int, between func() error) (first, second []int64, err error) {
	err = s.readFor(ctx, people, s.list()[0], func(c *connection) (err error) {
		if first, err = c.ofTenant(tenant, 0, false, n); err != nil {
			return err
		}
		if _, err = c.outline(first[0]); err != nil { // the snapshot begins
			return err
		}
		if err = between(); err != nil {
			return err
		}
		second, err = c.ofTenant(tenant, 0, false, n)
		return err
	})
	return first, second, err
}

// Closing reports whether Close was called.
func (s *Store) Closing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// LookAt lets Lanes look at no more than n events above the floor.
func (s *Store) LookAt(n int) { s.lanesScan = n }

// PendingSteps reads a page of what is pending of a lane in the first segment, and
// counts the steps that SQLite takes for it.
func (s *Store) PendingSteps(ctx context.Context, endpoint hook.EndpointNum, from hook.EventID, limit int) (page store.FreshPage, steps int, err error) {
	err = s.read(ctx, s.list()[0], func(c *connection) error {
		for _, st := range c.stmts {
			st.Status(sqlite3.STMTSTATUS_VM_STEP, true)
		}
		if err := c.pendingInOrder(endpoint, from.Seq(), limit, &page); err != nil {
			return err
		}
		for _, st := range c.stmts {
			steps += st.Status(sqlite3.STMTSTATUS_VM_STEP, true)
		}
		return nil
	})
	return page, steps, err
}
