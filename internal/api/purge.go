package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/filter"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

func (a *API) purgeRoutes() []routeRow {
	return []routeRow{{
		pattern: "POST " + pathTenant + "/purge", name: "purge", summary: "Purge a tenant, or what events of it hold of a person",
		doc: "Takes out of the store what the chosen events have carried: data, metadata, ids of your own, bodies that were sent, headers, and answers. Their waiting deliveries end as cancelled. " +
			"That there was an event stays: its id, type and times, whom it went to, and with what status; its data is {\"purged\":true} from then on, and it is never sent again. With everything, the tenant and its endpoints, secrets and keys go too. " +
			"Then the files are written anew, so that the bytes are in none of them, which takes its time. Idempotency-Keys of the tenant's publishes are forgotten. Backups from before still hold it all; so do, where the store is a database, its write-ahead log and its copies. With dry_run it only counts.",
		scope: hook.ScopeAdmin, handle: a.purge, in: purgeInput{}, out: purgeReceipt{},
		params: []param{dryParam}, settled: true,
	}}
}

// purgeInput says what to purge: one of its fields.
type purgeInput struct {
	Everything bool           `json:"everything" doc:"the whole tenant"`
	Events     []string       `json:"events" doc:"events, by their ids or your own" example:"[\"invoice-17-paid\"]"`
	Filter     jsontext.Value `json:"filter" doc:"a condition tree, as endpoints have one: events that satisfy it" example:"{\"field\":\"data.user.id\",\"operator\":\"eq\",\"value\":\"u_17\"}"`
}

// purgeReceipt says what was purged.
type purgeReceipt struct {
	Tenant    string `json:"tenant" doc:"whose it was" example:"acme"`
	At        stamp  `json:"at" doc:"when it was done"`
	Selected  int    `json:"selected" doc:"events that were chosen" example:"12"`
	Digest    string `json:"digest" doc:"SHA-256 of the chosen events' ids, oldest first, a line each, in hex: whoever has the ids can check that they are meant"`
	Events    int64  `json:"events" doc:"events that were overwritten; the others had been already" example:"12"`
	Attempts  int64  `json:"attempts" doc:"attempts of which what was sent and answered was overwritten" example:"15"`
	Bodies    int64  `json:"bodies" doc:"bodies that were kept to be sent again" example:"1"`
	Requests  int64  `json:"requests" doc:"Idempotency-Keys that were forgotten" example:"0"`
	Endpoints int    `json:"endpoints,omitzero" doc:"endpoints that went with the tenant" example:"2"`
	Keys      int    `json:"keys,omitzero" doc:"keys that went with the tenant" example:"1"`
	Files     int    `json:"files" doc:"files of the log, or days of a database, that were written anew" example:"3"`
	DryRun    bool   `json:"dry_run,omitzero" doc:"true: nothing was done, and selected says how many events it would be"`
}

// purge purges what a request chooses.
func (a *API) purge(c *call) error {
	var in purgeInput
	if err := c.decode(&in); err != nil {
		return err
	}
	dry, err := c.dry()
	if err != nil {
		return err
	}
	p, err := a.newPurge(c, &in)
	if err != nil {
		return err
	}
	if err := p.choose(); err != nil {
		return err
	}
	if dry {
		c.Header().Set("Dry-Run", "true")
		return c.answer(http.StatusOK, p.receipt(a.Now(), true))
	}
	action := manage.Action{Name: "events.purge", Tenant: c.tenant, With: map[string]any{"events": len(p.ids), "digest": p.digest()}}
	if in.Everything {
		action.Name = "tenant.purge"
	}
	_ = http.NewResponseController(c.ResponseWriter).SetWriteDeadline(time.Time{}) // where it cannot be set, there is none
	if err := a.Manager.Noted(c.r.Context(), action, p.run); err != nil {
		return err
	}
	out := p.receipt(a.Now(), false)
	a.Logger.Info("purged", "request_id", c.id[0], "key_id", c.keyID(), "tenant_id", out.Tenant, "events", out.Events, "digest", out.Digest)
	return c.answer(http.StatusOK, out)
}

// purging is a purge on its way.
type purging struct {
	*API
	ctx    context.Context
	tenant *hook.Tenant
	in     *purgeInput
	filter *filter.Filter // nil: of no use
	ids    []hook.EventID // chosen, oldest first unless they were named
	last   hook.EventID   // up to which events were looked at
	done   store.Purged
	gone   manage.Deleted
}

func (a *API) newPurge(c *call, in *purgeInput) (*purging, error) {
	p := &purging{API: a, ctx: c.r.Context(), tenant: c.tenant, in: in}
	chosen := 0
	for _, given := range []bool{in.Everything, len(in.Events) > 0, len(in.Filter) > 0} {
		if given {
			chosen++
		}
	}
	if chosen != 1 {
		return nil, hook.Invalid("", "say what to purge: one of everything, events and filter")
	}
	if len(in.Filter) > 0 {
		f, err := filter.Parse(in.Filter)
		if err != nil {
			return nil, under("/filter", err)
		}
		p.filter = f
	}
	return p, nil
}

// under says where in the body it is that an error points to.
func under(at string, err error) error {
	if e := manage.Told(err); e != nil {
		moved := *e
		moved.Field = at + e.Field
		return &moved
	}
	return err
}

// choose finds the events, those that have come since it looked last.
func (p *purging) choose() error {
	if len(p.in.Events) > 0 {
		for _, name := range p.in.Events {
			e, err := p.event(p.ctx, p.tenant.Num, name)
			if err != nil {
				return err
			}
			p.ids = append(p.ids, e.ID)
		}
		return nil
	}
	for q := (store.EventQuery{Tenant: p.tenant.Num, After: p.last, Oldest: true, Limit: maxLimit}); ; {
		page, err := p.Reader.Events(p.ctx, q)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if p.filter == nil || p.filter.Match(filter.NewSubject(e)) {
				p.ids = append(p.ids, e.ID)
			}
			p.last = e.ID
		}
		if q.After = page.Next; page.Next.IsZero() {
			return nil
		}
	}
}

// run purges. A tenant goes first, so that no more events come.
func (p *purging) run() (err error) {
	q := store.PurgeQuery{Scope: "tenant/" + p.tenant.ID}
	if p.in.Everything {
		if err := p.cancel(p.ids); err != nil {
			return err
		}
		if p.gone, err = p.Manager.PurgeTenant(p.ctx, p.tenant.ID); err != nil {
			return err
		}
		before := len(p.ids)
		if err := p.choose(); err != nil { // what came meanwhile
			return err
		}
		if err := p.cancel(p.ids[before:]); err != nil {
			return err
		}
		q.Tenant = p.tenant.Num
	} else if err := p.cancel(p.ids); err != nil {
		return err
	}
	q.Events = p.ids
	p.done, err = p.Purger.Purge(p.ctx, q)
	return err
}

// cancel ends the deliveries of events that wait, and waits for those that run: what
// they would record is what is to go.
func (p *purging) cancel(ids []hook.EventID) error {
	chosen := make(map[hook.EventID]bool, len(ids))
	for _, id := range ids {
		chosen[id] = true
	}
	running := 0
	end := func(some []*hook.Delivery) error {
		some = slices.DeleteFunc(some, func(d *hook.Delivery) bool { return !chosen[d.Key.Event] })
		n, err := p.Canceller.Cancel(p.ctx, some, hook.ByPurge)
		running += n
		return err
	}
	q := store.DeliveryQuery{Tenant: p.tenant.Num, States: []hook.DeliveryState{hook.Pending, hook.Held}, Oldest: true, Limit: maxLimit}
	if len(ids) > fewEvents {
		ids = []hook.EventID{{}} // all that waits is looked through, once
	}
	for _, q.Event = range ids {
		if err := p.eachDelivery(p.ctx, q, end); err != nil {
			return err
		}
	}
	if running > 0 {
		return hook.Errorf(hook.CodeUnavailable, "%d attempts of these events are running: nothing was overwritten yet. Send the request again when they have ended, which takes as long as their timeout at most", running)
	}
	return nil
}

// fewEvents is how many events are asked for one by one what waits of them.
const fewEvents = 100

// digest names the chosen events.
func (p *purging) digest() string {
	h := sha256.New()
	for _, id := range p.ids {
		h.Write([]byte(id.String() + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (p *purging) receipt(at time.Time, dry bool) purgeReceipt {
	return purgeReceipt{
		Tenant: p.tenant.ID, At: stamp(at), Selected: len(p.ids), Digest: p.digest(), Events: p.done.Events, Attempts: p.done.Attempts, Bodies: p.done.Bodies,
		Requests: p.done.Requests, Endpoints: p.gone.Endpoints, Keys: p.gone.Keys, Files: p.done.Files, DryRun: dry,
	}
}
