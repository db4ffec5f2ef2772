package api

import (
	"net/http"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// resumeInput is the body of POST …/resume.
type resumeInput struct {
	Held   string  `json:"held" doc:"what becomes of what is held: send it (send, by default) or not (discard)" example:"send" enum:"send,discard"`
	Since  *string `json:"since" doc:"send what was accepted at this time or later, and discard what was accepted before" format:"date-time"`
	DryRun bool    `json:"dry_run" doc:"count what would be sent and discarded, and change nothing"`
}

// resumeAnswer says what became of what was held, or, in a dry run, what would.
type resumeAnswer struct {
	DryRun    bool   `json:"dry_run,omitzero" doc:"true: nothing was changed"`
	State     string `json:"state" doc:"the endpoint's state: active once all that was to be discarded is" example:"active"`
	Discarded int64  `json:"discarded" doc:"deliveries that ended as cancelled by this request, or would" example:"120"`
	Running   int    `json:"running,omitzero" doc:"deliveries whose attempt was running: they become what it says, and are not tried again"`
	Send      *int64 `json:"send,omitzero" doc:"in a dry run: deliveries that would be sent" example:"30"`
	Exact     *bool  `json:"exact,omitzero" doc:"in a dry run; false: there are at least so many, for counting them all would take too long"`
	Oldest    stamp  `json:"oldest,omitzero" doc:"in a dry run: when the first event of those held was accepted"`
	Newest    stamp  `json:"newest,omitzero" doc:"in a dry run: when the last event of those held was accepted"`
}

// discardTime bounds how long one request discards: the rest is for another one, so that
// none takes longer than a client or a proxy waits.
const discardTime = 10 * time.Second

// resumeEndpoint lets an endpoint's deliveries go on, all of them or those of later
// events. What is to be discarded is discarded first, while nothing is sent: so
// nothing of it can be sent, whatever fails in between.
func (a *API) resumeEndpoint(c *call) error {
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	var in resumeInput
	if err := c.decode(&in); err != nil {
		return err
	}
	before, err := in.discardBefore(time.Now())
	if err != nil {
		return err
	}
	dry, err := c.dry()
	if err != nil {
		return err
	}
	if dry || in.DryRun {
		out, err := a.previewResume(c, e, before)
		if err != nil {
			return err
		}
		return c.changed(http.StatusOK, true, out, nil)
	}
	out := resumeAnswer{State: string(e.State)}
	if !before.IsZero() {
		if e.Active() {
			return hook.Errorf(hook.CodeConflict, "the endpoint is active, so that what waits for it is being sent: pause it first to discard something")
		}
		done, err := a.discardHeld(c, e, before, &out)
		if err != nil {
			return err
		}
		if !done {
			return c.answer(http.StatusAccepted, out)
		}
	}
	active := hook.EndpointActive
	if e, err = a.Manager.UpdateEndpoint(c.r.Context(), c.tenant.ID, e.ID, manage.EndpointInput{State: &active}); err != nil {
		return err
	}
	out.State = string(e.State)
	return c.answer(http.StatusOK, out)
}

// discardBefore is up to when events were accepted whose deliveries are to be
// discarded; zero: none are.
func (in *resumeInput) discardBefore(now time.Time) (time.Time, error) {
	since, err := bodyTime("/since", in.Since)
	switch {
	case err != nil:
		return since, err
	case in.Held == "discard" && in.Since != nil:
		return since, hook.Invalid("/since", "says what to send: leave it out to discard all, or held, to send what is from then on")
	case in.Held == "discard":
		return now.Add(time.Millisecond), nil // times of acceptance are in milliseconds: this one is in it
	case in.Held != "" && in.Held != "send":
		return since, hook.Invalid("/held", "is %q; it is send or discard", hook.Clip(in.Held))
	case since.After(now):
		return since, hook.Invalid("/since", "is in the future")
	}
	return since, nil
}

func (a *API) previewResume(c *call, e *hook.Endpoint, before time.Time) (out resumeAnswer, err error) {
	held := manage.ReplayInput{Endpoint: &e.ID, States: []string{hook.Held.String()}}
	all, err := a.Replayer.CountReplay(c.r.Context(), c.tenant.ID, held)
	if err != nil {
		return out, err
	}
	var gone manage.ReplayCount
	gone.Exact = true
	if !before.IsZero() && all.Count > 0 {
		held.Until = before
		if gone, err = a.Replayer.CountReplay(c.r.Context(), c.tenant.ID, held); err != nil {
			return out, err
		}
	}
	send, exact := max(0, all.Count-gone.Count), all.Exact && gone.Exact
	return resumeAnswer{
		DryRun: true, State: string(e.State), Discarded: gone.Count, Send: &send, Exact: &exact, Oldest: stamp(all.Oldest), Newest: stamp(all.Newest),
	}, nil
}

// discardHeld ends what waits for an endpoint, of events that were accepted before a
// time, as far as one request goes. It stops if somebody else resumes the endpoint.
func (a *API) discardHeld(c *call, e *hook.Endpoint, before time.Time, out *resumeAnswer) (done bool, err error) {
	ctx, begun := c.r.Context(), time.Now()
	q := store.DeliveryQuery{
		Tenant: c.tenant.Num, Endpoint: e.Num, States: []hook.DeliveryState{hook.Pending, hook.Held}, Until: before, Oldest: true, Limit: maxLimit,
	}
	action := manage.Action{Name: "endpoint.discard", Tenant: c.tenant, Object: e.ID, With: map[string]any{"before": before.UTC().Format(time.RFC3339Nano)}}
	err = a.Manager.Noted(ctx, action, func() error {
		for {
			p, err := a.Reader.Deliveries(ctx, q)
			if err != nil {
				return err
			}
			if now, ok := a.Directory.Endpoint(e.Num); !ok || now.Deleted || now.Active() {
				return hook.Errorf(hook.CodeConflict, "somebody else has resumed or deleted the endpoint: %d deliveries were discarded before that", out.Discarded)
			}
			running, err := a.Canceller.Cancel(ctx, p.Deliveries, hook.Discarded)
			if err != nil {
				return err
			}
			out.Running += running
			out.Discarded += int64(len(p.Deliveries) - running)
			if q.After = p.Next; p.Next == (hook.DeliveryKey{}) {
				done = true
				return nil
			}
			if out.Discarded >= int64(a.DiscardAtOnce) || time.Since(begun) > discardTime {
				return nil
			}
		}
	})
	a.Logger.Info("held deliveries discarded", "endpoint_id", e.ID, "tenant_id", e.Tenant, "deliveries", out.Discarded, "running", out.Running)
	return done, err
}
