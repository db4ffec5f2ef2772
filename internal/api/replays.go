package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

const pathReplay = pathTenant + "/replays/{replay}"

// replayRoutes are those of what is sent again, or not any more.
func (a *API) replayRoutes() []routeRow {
	return []routeRow{
		{
			pattern: "POST " + pathTenant + "/replays", name: "createReplay", summary: "Send past deliveries again, by filter",
			doc:   "A job: it sends the deliveries again that the filter selects, oldest first, of events that were accepted before. At least one of endpoint, types, states, since and until has to be there; without states, failed ones are sent. With dry_run, in the query or the body, it only counts them.",
			scope: hook.ScopeManage, portal: true, handle: a.createReplay, in: replayInput{}, out: replayShape{}, status: 202, also: map[int]any{200: replayCount{}},
			params: []param{dryParam}, problems: []hook.Code{hook.CodeConflict},
		},
		{
			pattern: "GET " + pathTenant + "/replays", name: "listReplays", summary: "List a tenant's replays, oldest first",
			scope: hook.ScopeRead, portal: true, handle: a.listReplays, out: list[replayShape]{},
		},
		{
			pattern: "GET " + pathReplay, name: "getReplay", summary: "Show how far a replay is",
			scope: hook.ScopeRead, portal: true, handle: a.getReplay, out: replayShape{},
		},
		{
			pattern: "POST " + pathReplay + "/cancel", name: "cancelReplay", summary: "Stop a replay",
			doc:   "What it has sent stays sent. A replay that is over stays as it is.",
			scope: hook.ScopeManage, portal: true, handle: a.cancelReplay, in: struct{}{}, out: replayShape{},
		},
		{
			pattern: "POST " + pathEvent + "/cancel", name: "cancelEvent", summary: "Cancel what waits of an event",
			doc:   "Its pending and held deliveries end as cancelled. Those whose attempt is running become what it says, and are not tried again; running counts them. The event is found by its id or by the publisher's own.",
			scope: hook.ScopeManage, handle: a.cancelEvent, in: struct{}{}, out: cancelAnswer{},
		},
	}
}

// replayInput is the body that creates a replay, or counts one.
type replayInput struct {
	Endpoint *string  `json:"endpoint" doc:"only deliveries to this endpoint" example:"ep_01JB2X3Y4Z"`
	Events   []string `json:"events" doc:"only deliveries of these events: up to 1,000, by their ids or the publisher's own"`
	Types    []string `json:"types" doc:"only these event types, or prefix.* for all that begin so" example:"[\"invoice.*\"]"`
	States   []string `json:"states" doc:"only deliveries in these states when the replay comes to them; absent: failed" example:"[\"failed\"]"`
	Since    *string  `json:"since" doc:"only events accepted at this time or later" example:"2026-01-31T08:00:00Z"`
	Until    *string  `json:"until" doc:"only events accepted before this time" example:"2026-01-31T09:00:00Z"`
	Limit    *int64   `json:"limit" doc:"at most so many deliveries, the oldest" example:"1000"`
	Rate     *float64 `json:"rate" doc:"at most so many deliveries a second, from 0.01 to 10000; absent: as many as leave room for what is published meanwhile" example:"50"`
	DryRun   bool     `json:"dry_run" doc:"true: only count what it would begin with"`
}

func (in *replayInput) manage() (out manage.ReplayInput, err error) {
	out = manage.ReplayInput{Endpoint: in.Endpoint, Types: in.Types, States: in.States}
	if out.Since, err = bodyTime("/since", in.Since); err != nil {
		return out, err
	}
	if out.Until, err = bodyTime("/until", in.Until); err != nil {
		return out, err
	}
	if in.Rate != nil {
		if out.Rate = *in.Rate; out.Rate == 0 {
			return out, hook.Invalid("/rate", "is 0; leave it out for no limit of its own")
		}
	}
	if in.Limit != nil {
		if out.Limit = *in.Limit; out.Limit < 1 {
			return out, hook.Invalid("/limit", "is %d; it is 1 or more", out.Limit)
		}
	}
	return out, nil
}

// maxReplayEvents is how many events a replay may name.
const maxReplayEvents = 1000

// replayEvents finds the events that a replay names.
func (a *API) replayEvents(c *call, names []string) ([]hook.EventID, error) {
	if len(names) > maxReplayEvents {
		return nil, hook.Invalid("/events", "holds %d events, at most %d are allowed", len(names), maxReplayEvents)
	}
	var out []hook.EventID
	for i, name := range names {
		e, err := a.event(c.r.Context(), c.tenant.Num, name)
		if hook.CodeOf(err) == hook.CodeNotFound {
			return nil, hook.Invalid("/events/"+strconv.Itoa(i), "there is no event %q", hook.Clip(name))
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e.ID)
	}
	return out, nil
}

// bodyTime reads a time in a body.
func bodyTime(pointer string, text *string) (time.Time, error) {
	if text == nil {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		return t, hook.Invalid(pointer, "want a time of RFC 3339 such as 2026-01-31T08:00:00Z")
	}
	return t, nil
}

// replayFilterShape is what a replay sends again.
type replayFilterShape struct {
	Endpoint string   `json:"endpoint,omitzero" doc:"only deliveries to this endpoint"`
	Types    []string `json:"types,omitempty" doc:"only these event types"`
	States   []string `json:"states" doc:"only deliveries in these states"`
	Since    stamp    `json:"since,omitzero" doc:"only events accepted at this time or later"`
	Until    stamp    `json:"until,omitzero" doc:"only events accepted before this time"`
	Limit    int64    `json:"limit,omitzero" doc:"at most so many deliveries"`
	Events   []string `json:"events,omitempty" doc:"only deliveries of these events, by their ids"`
}

// replayShape is a replay in answers.
type replayShape struct {
	ID          string            `json:"id" doc:"the replay's id" example:"rpl_01JB2X3Y4Z"`
	Tenant      string            `json:"tenant" doc:"the tenant it belongs to" example:"acme"`
	State       string            `json:"state" doc:"where it stands" example:"running" enum:"running,done,cancelled,failed"`
	Reason      string            `json:"reason,omitzero" doc:"why it was cancelled or failed"`
	Filter      replayFilterShape `json:"filter" doc:"what it sends again"`
	Rate        float64           `json:"rate,omitzero" doc:"at most so many deliveries a second; absent: no limit of its own"`
	Total       *int64            `json:"total" doc:"deliveries that it selected when it began; null until they are counted"`
	Redelivered int64             `json:"redelivered" doc:"deliveries made pending again so far"`
	Skipped     int64             `json:"skipped" doc:"deliveries left alone: their endpoint is gone or takes nothing, or they were attempted meanwhile"`
	Failed      int64             `json:"failed" doc:"deliveries that cannot be sent again, for they have too many attempts"`
	CreatedAt   stamp             `json:"created_at" doc:"when it was created; what was published later is not in it"`
	UpdatedAt   stamp             `json:"updated_at" doc:"when its counts were last noted"`
	FinishedAt  stamp             `json:"finished_at,omitzero" doc:"when it ended"`
}

func (a *API) shapeReplay(r *hook.Replay) replayShape {
	f := &r.Filter
	s := replayShape{
		ID: r.ID, Tenant: r.Tenant, State: string(r.State), Reason: r.Reason, Redelivered: r.Redelivered, Skipped: r.Skipped, Failed: r.Failed,
		CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt), FinishedAt: stamp(r.FinishedAt),
		Filter: replayFilterShape{
			Types: f.Types, States: each(f.States, hook.DeliveryState.String), Since: stamp(f.Since), Until: stamp(f.Until), Limit: f.Limit,
			Events: each(f.Events, hook.EventID.String),
		},
		Rate: r.Rate,
	}
	if e, ok := a.Directory.Endpoint(f.Endpoint); ok {
		s.Filter.Endpoint = e.ID
	}
	if r.Counted {
		s.Total = &r.Total
	}
	return s
}

// replayCount is the answer to a dry run.
type replayCount struct {
	DryRun bool  `json:"dry_run" doc:"true"`
	Count  int64 `json:"count" doc:"deliveries that the replay would begin with"`
	Exact  bool  `json:"exact" doc:"false: there are at least so many, for counting them all would take too long"`
	Oldest stamp `json:"oldest,omitzero" doc:"when the first of their events was accepted"`
	Newest stamp `json:"newest,omitzero" doc:"when the last of their events was accepted"`
}

func (a *API) createReplay(c *call) error {
	var in replayInput
	if err := c.decode(&in); err != nil {
		return err
	}
	input, err := in.manage()
	if err != nil {
		return err
	}
	if input.Events, err = a.replayEvents(c, in.Events); err != nil {
		return err
	}
	dry, err := c.dry()
	if err != nil {
		return err
	}
	if dry || in.DryRun {
		n, err := a.Replayer.CountReplay(c.r.Context(), c.tenant.ID, input)
		if err != nil {
			return err
		}
		return c.changed(http.StatusOK, true, replayCount{true, n.Count, n.Exact, stamp(n.Oldest), stamp(n.Newest)}, nil)
	}
	answer := func(r *hook.Replay, _ hook.Secret) error {
		c.Header().Set("Location", c.r.URL.EscapedPath()+"/"+r.ID)
		return c.answer(http.StatusAccepted, a.shapeReplay(r))
	}
	input.Keep = keep(a, c, answer)
	r, err := a.Replayer.CreateReplay(c.r.Context(), c.tenant.ID, input)
	if err != nil {
		return err
	}
	return answer(r, "")
}

func (a *API) listReplays(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	part, l := slicePage(a, c, q, a.Directory.Replays(c.tenant.Num), func(r *hook.Replay) string {
		return fmt.Sprintf("%020d %s", r.CreatedAt.UnixNano(), r.ID)
	})
	return page(c, each(part, a.shapeReplay), l)
}

func (a *API) getReplay(c *call) error {
	id := c.r.PathValue("replay")
	r, ok := a.Directory.Replay(c.tenant.Num, id)
	if !ok {
		return hook.Errorf(hook.CodeNotFound, "there is no replay %q", hook.Clip(id))
	}
	return c.answer(http.StatusOK, a.shapeReplay(r))
}

func (a *API) cancelReplay(c *call) error {
	if err := c.decode(&struct{}{}); err != nil {
		return err
	}
	r, err := a.Replayer.CancelReplay(c.r.Context(), c.tenant.ID, c.r.PathValue("replay"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, a.shapeReplay(r))
}
