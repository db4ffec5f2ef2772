package manage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// The bounds of replays.
const (
	maxReplayTypes = 100
	maxReplayRate  = 10_000.0
	minReplayRate  = .01
	maxReplays     = 1000 // that a tenant may have on record
	maxRunning     = 20   // of a tenant at once
	replayPrefix   = "rpl_"
)

// ReplayInput says what to send again. At least one condition must be set, Limit
// apart: nobody replays everything by leaving something out.
type ReplayInput struct {
	Endpoint     *string // the id of an endpoint of the tenant
	Events       []hook.EventID
	Types        []string // names, or "prefix.*"
	States       []string // none: failed
	Since, Until time.Time
	Limit        int64
	Rate         float64 // deliveries a second; 0: no limit of its own
	Keep         Keep[hook.Replay]
}

// The bounds of a count that somebody waits for.
const (
	countAtOnce = 2 // over all tenants
	countPages  = 400
	countTime   = 5 * time.Second
)

// ReplayCount is what a replay would begin with.
type ReplayCount struct {
	Count          int64
	Exact          bool      // false: there may be more, for counting took too long
	Oldest, Newest time.Time // acceptance of the first and last event; zero without one
}

// replayFilter checks a filter.
func (m *Manager) replayFilter(tenant string, in ReplayInput) (f hook.ReplayFilter, err error) {
	if in.Endpoint == nil && len(in.Events) == 0 && len(in.Types) == 0 && len(in.States) == 0 && in.Since.IsZero() && in.Until.IsZero() {
		return f, hook.Invalid("", "say what to replay: at least one of endpoint, events, types, states, since and until")
	}
	f = hook.ReplayFilter{Types: slices.Clone(in.Types), Since: in.Since, Until: in.Until, Limit: in.Limit}
	if in.Endpoint != nil {
		e, ok := m.Directory.EndpointByID(tenant, *in.Endpoint)
		if !ok {
			return f, hook.Invalid("/endpoint", "there is no endpoint %q", hook.Clip(*in.Endpoint))
		}
		f.Endpoint = e.Num
	}
	if len(in.Events) > 0 {
		f.Events = slices.Compact(slices.SortedFunc(slices.Values(in.Events), hook.EventID.Compare))
	}
	if len(in.Types) > maxReplayTypes {
		return f, hook.Invalid("/types", "holds %d types, at most %d are allowed", len(in.Types), maxReplayTypes)
	}
	for i, t := range in.Types {
		if err := hook.ValidType(strings.TrimSuffix(t, ".*")); err != nil {
			return f, hook.Invalid(fmt.Sprintf("/types/%d", i), "%v", err)
		}
	}
	for i, name := range in.States {
		s, err := hook.ParseDeliveryState(name)
		if err != nil {
			return f, hook.Invalid(fmt.Sprintf("/states/%d", i), "%v", err)
		}
		if !slices.Contains(f.States, s) {
			f.States = append(f.States, s)
		}
	}
	if len(f.States) == 0 {
		f.States = []hook.DeliveryState{hook.Failed}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f, hook.Invalid("/until", "is not after since, so nothing lies between")
	}
	if f.Limit < 0 {
		return f, hook.Invalid("/limit", "is %d; it is 1 or more", f.Limit)
	}
	if in.Rate != 0 && !(in.Rate >= minReplayRate && in.Rate <= maxReplayRate) {
		return f, hook.Invalid("/rate", "is %g deliveries a second; it may be from %g to %g", in.Rate, minReplayRate, maxReplayRate)
	}
	return f, nil
}

// CountReplay counts what a replay of an input would begin with, as far as that
// can be waited for. The error is of CodeUnavailable while others count.
func (r *Replayer) CountReplay(ctx context.Context, tenant string, in ReplayInput) (ReplayCount, error) {
	t, err := r.Manager.tenant(tenant)
	if err != nil {
		return ReplayCount{}, err
	}
	f, err := r.Manager.replayFilter(tenant, in)
	if err != nil {
		return ReplayCount{}, err
	}
	select {
	case r.counting <- struct{}{}:
	default:
		return ReplayCount{}, hook.Errorf(hook.CodeUnavailable, "the server counts for %d others already: try again in a moment", countAtOnce)
	}
	defer func() { <-r.counting }()
	through, err := r.Log.LastEvent(ctx)
	if err != nil {
		return ReplayCount{}, storeError("count a replay", err)
	}
	p, begun := &hook.Replay{TenantNum: t.Num, Filter: f, Through: through}, time.Now()
	var n tally
	for range countPages / replayPages {
		if err := r.count(ctx, p, &n); err != nil {
			return ReplayCount{}, storeError("count a replay", err)
		}
		if n.Exact || time.Since(begun) > countTime {
			break
		}
	}
	return n.ReplayCount, nil
}

// CreateReplay stores a replay and begins it. What is sent from then on is not
// in it, nor is what is published.
func (r *Replayer) CreateReplay(ctx context.Context, tenant string, in ReplayInput) (*hook.Replay, error) {
	m := r.Manager
	through, err := r.Log.LastEvent(ctx)
	if err != nil {
		return nil, storeError("create a replay", err)
	}
	var made *hook.Replay
	err = m.commit(ctx, "create a replay", func(now time.Time) (*store.Change, error) {
		t, err := m.tenant(tenant)
		if err != nil {
			return nil, err
		}
		f, err := m.replayFilter(tenant, in)
		if err != nil {
			return nil, err
		}
		c := &store.Change{}
		if c.Replays, err = m.roomForReplay(t.Num, now); err != nil {
			return nil, err
		}
		made = &hook.Replay{
			ID: hook.NewID(replayPrefix), Tenant: t.ID, TenantNum: t.Num, Filter: f, Rate: in.Rate, Through: through,
			State: hook.ReplayRunning, CreatedAt: now.Add(time.Millisecond), UpdatedAt: now, // after any attempt that was made before
		}
		c.Replays = append(c.Replays, made)
		return in.Keep.join(c, made, ""), nil
	})
	if err != nil {
		return nil, err
	}
	m.Logger.Info("replay created", "replay_id", made.ID, "tenant_id", tenant)
	r.begin(made.ID, made.TenantNum)
	return made, nil
}

// roomForReplay refuses one more replay of a tenant, or makes room for it by
// tombstones of the oldest that are over.
func (m *Manager) roomForReplay(tenant hook.TenantNum, now time.Time) (gone []*hook.Replay, err error) {
	all := m.Directory.Replays(tenant)
	running := 0
	for _, old := range all {
		switch {
		case !old.Over():
			running++
		case len(all)-len(gone) >= maxReplays:
			gone = append(gone, forgotten(old, now))
		}
	}
	if running >= maxRunning {
		return nil, hook.Errorf(hook.CodeConflict, "%d replays of this tenant are running, which is the limit: wait for one to end, or cancel one", running)
	}
	return gone, nil
}

func forgotten(old *hook.Replay, now time.Time) *hook.Replay {
	c := *old
	c.Deleted, c.UpdatedAt = true, touched(old.UpdatedAt, now)
	return &c
}

// ForgetReplays deletes the replays that ended before an instant, and says how
// many these were.
func (m *Manager) ForgetReplays(ctx context.Context, before time.Time) (n int, err error) {
	err = m.commit(ctx, "forget replays", func(now time.Time) (*store.Change, error) {
		c := &store.Change{}
		for _, old := range m.Directory.Replays(hook.AllTenants) {
			if old.Over() && old.FinishedAt.Before(before) {
				c.Replays = append(c.Replays, forgotten(old, now))
			}
		}
		if n = len(c.Replays); n == 0 {
			return nil, nil
		}
		return c, nil
	})
	return n, err
}

// CancelReplay stops a replay. What it has sent stays sent. One that is over
// stays as it is.
func (r *Replayer) CancelReplay(ctx context.Context, tenant, id string) (*hook.Replay, error) {
	m := r.Manager
	if r.Shared != nil { // what another server has done of it counts
		if err := r.readProgress(ctx); err != nil {
			return nil, err
		}
	}
	var out *hook.Replay
	err := m.commit(ctx, "cancel a replay", func(now time.Time) (*store.Change, error) {
		t, err := m.tenant(tenant)
		if err != nil {
			return nil, err
		}
		old, ok := m.Directory.Replay(t.Num, id)
		if !ok {
			return nil, hook.Errorf(hook.CodeNotFound, "there is no replay %q", hook.Clip(id))
		}
		out = old
		if old.Over() {
			return nil, nil
		}
		out = ended(old, hook.ReplayCancelled, hook.ByRequest, now)
		return &store.Change{Replays: []*hook.Replay{out}}, nil
	})
	if err != nil {
		return nil, err
	}
	m.Logger.Info("replay cancelled", "replay_id", id, "tenant_id", tenant)
	return out, nil
}

// ended is a replay that is over.
func ended(old *hook.Replay, state hook.ReplayState, reason string, now time.Time) *hook.Replay {
	c := *old
	c.State, c.Reason, c.UpdatedAt, c.FinishedAt = state, reason, touched(old.UpdatedAt, now), now
	return &c
}

// endReplays is what the deletion of a tenant does to its replays.
func (m *Manager) endReplays(tenant hook.TenantNum, now time.Time) (gone []*hook.Replay) {
	for _, old := range m.Directory.Replays(tenant) {
		c := ended(old, hook.ReplayCancelled, "its tenant was deleted", now)
		c.Deleted = true
		gone = append(gone, c)
	}
	return gone
}

// Shown is the state of a delivery that people are told. One that waits for an
// inactive endpoint is held, though the store has not been told: pausing an
// endpoint touches none of its deliveries.
func (m *Manager) Shown(d *hook.Delivery) (hook.DeliveryState, string) {
	if d.State != hook.Pending {
		return d.State, d.Reason
	}
	e, ok := m.Directory.Endpoint(d.Key.Endpoint)
	if !ok || e.Deleted || e.Active() || !m.Holds(e) {
		return d.State, d.Reason
	}
	reason := "the endpoint is " + string(e.State)
	if e.StateReason != "" {
		reason += ": " + e.StateReason
	}
	return hook.Held, reason
}
