package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Whoever is asked to cancel need not be the one who sends to that endpoint.
const (
	cancelsEvery = 250 * time.Millisecond // each looks for what others were asked for
	cancelPoll   = 50 * time.Millisecond  // whoever was asked looks whether it is done
	cancelLimit  = 8 * time.Second        // and gives up
)

// canceller cancels what this server sends, and has other servers cancel what they send.
type canceller struct {
	*Server
	asks store.CancelSharer
}

// canceller is what cancels here.
func (s *Server) canceller() api.Canceller {
	if asks, ok := s.store.(store.CancelSharer); ok {
		return &canceller{s, asks}
	}
	return s.dispatch
}

// Cancel is Dispatcher.Cancel for deliveries of all servers.
func (c *canceller) Cancel(ctx context.Context, deliveries []*hook.Delivery, reason string) (running int, err error) {
	held := c.dispatch.Lease()
	var own []*hook.Delivery
	var others []store.CancelRequest
	for _, d := range deliveries {
		if held.Holds(d.Key.Endpoint) {
			own = append(own, d)
		} else {
			others = append(others, store.CancelRequest{Key: d.Key, Tenant: d.Tenant, Reason: reason})
		}
	}
	if len(others) > 0 {
		if err := c.asks.AskCancel(ctx, others); err != nil {
			return 0, err
		}
	}
	if running, err = c.dispatch.Cancel(ctx, own, reason); err != nil || len(others) == 0 {
		return running, err
	}
	more, err := c.await(ctx, others)
	return running + more, err
}

// await waits until what others were asked for is done, and counts those of it that go
// on to the end of their attempt.
func (c *canceller) await(ctx context.Context, asked []store.CancelRequest) (running int, err error) {
	limit := time.After(cancelLimit)
	for {
		left, err := c.asks.StillAsked(ctx, asked)
		if err != nil {
			return 0, err
		}
		if left == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-limit:
			return 0, fmt.Errorf("%w: the server that sends for an endpoint has not cancelled yet; it was asked, and will", store.ErrUnavailable)
		case <-time.After(cancelPoll):
		}
	}
	for _, a := range asked {
		d, err := c.store.Delivery(ctx, a.Tenant, a.Key)
		switch {
		case errors.Is(err, store.ErrNotFound): // its event's time is over
		case err != nil:
			return running, err
		case !d.State.Terminal():
			running++
		}
	}
	return running, nil
}

// cancelAsked cancels what other servers were asked to cancel and this one sends, until
// ctx ends.
func (s *Server) cancelAsked(ctx context.Context) {
	asks, ok := s.store.(store.CancelSharer)
	if !ok {
		return
	}
	tick := time.NewTicker(cancelsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.cancelOnce(ctx, asks); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable) {
			s.logger.Warn("what other servers were asked to cancel is not cancelled; trying again", "error", err)
		}
	}
}

func (s *Server) cancelOnce(ctx context.Context, asks store.CancelSharer) error {
	asked, err := asks.AskedCancels(ctx, s.dispatch.Lease())
	for _, a := range asked {
		d, err := s.store.Delivery(ctx, a.Tenant, a.Key)
		if err == nil && !d.State.Terminal() {
			_, err = s.dispatch.Cancel(ctx, []*hook.Delivery{d}, a.Reason)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	if err == nil && len(asked) > 0 {
		err = asks.DoneCancels(ctx, asked)
	}
	return err
}
