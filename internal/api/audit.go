package api

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

const pathAudit = "/audit"

func (a *API) auditRoutes() []routeRow {
	window := []param{
		{"since", "nothing older than this time", formTime},
		{"until", "nothing from this time on", formTime},
	}
	return []routeRow{
		{
			pattern: "GET /v1" + pathAudit, name: "listAudit", summary: "List who changed what, latest first",
			doc:   "Each change of tenants, endpoints, secrets, event types, keys and replays has an entry, whichever face it was made through, stored together with it; redeliveries, cancelling, portal links, shown secrets, backups and purges have one that is stored before. No secret is in it, and nothing of events. Entries are never changed, and kept for a year.",
			scope: hook.ScopeAdmin, handle: a.listAudit, out: list[auditShape]{}, params: window,
		},
		{
			pattern: "GET " + pathTenant + pathAudit, name: "listTenantAudit", summary: "List who changed what of a tenant, latest first",
			doc:   "As for the whole installation, but only what is the tenant's own: what concerns several tenants, such as a key that covers them, is not in it.",
			scope: hook.ScopeManage, handle: a.listAudit, out: list[auditShape]{}, params: window,
		},
	}
}

// changes reports whether what a route does may have to be noted: reading has not, nor
// has publishing, of which the events themselves tell.
func (r *routeRow) changes() bool {
	return !r.publishes && !strings.HasPrefix(r.pattern, "GET ")
}

// acts has what is done on behalf of a call noted as its caller's doing.
func (a *API) acts(c *call) {
	actor := c.caller.Actor()
	actor.Address, actor.Request = a.callers.Client(c.r).String(), c.id[0]
	c.r = c.r.WithContext(manage.As(c.r.Context(), &actor))
}

// auditShape is an entry of the audit log.
type auditShape struct {
	Number    int64         `json:"number" doc:"its place: later entries have higher numbers" example:"17"`
	At        stamp         `json:"at" doc:"when it was done"`
	Actor     actorShape    `json:"actor" doc:"who did it"`
	Action    string        `json:"action" doc:"what was done" example:"endpoint.update"`
	Operation string        `json:"operation,omitzero" doc:"what it was a part of" example:"import"`
	Tenant    string        `json:"tenant,omitzero" doc:"whose it is; absent: of the installation, or of several tenants" example:"acme"`
	Object    string        `json:"object,omitzero" doc:"id or name of what it was done to" example:"ep_01JB2X3Y4Z"`
	Changes   []fieldChange `json:"changes" doc:"what has changed by it, or of what kind it was"`
	Result    string        `json:"result" doc:"done: it is in force; asked: it was begun then; failed: it did not come to its end" enum:"done,asked,failed" example:"done"`
}

// actorShape is who did something.
type actorShape struct {
	Kind     string `json:"kind" doc:"server: the server itself, or whoever starts it; key: with a key; vendor: with a key, through a vendor's management API; portal: with a portal link" enum:"server,key,vendor,portal" example:"key"`
	Key      string `json:"key,omitzero" doc:"the id of the key or portal link" example:"key_01JB2X3Y4Z"`
	Name     string `json:"name,omitzero" doc:"what people know the key by; of a portal link, the key that made it" example:"gk_7f3a"`
	Contract string `json:"contract,omitzero" doc:"whose management API it was" example:"smake"`
	Address  string `json:"address,omitzero" doc:"where the request came from" example:"192.0.2.1"`
	Request  string `json:"request,omitzero" doc:"the request's id" example:"req_01JB2X3Y4Z"`
}

// fieldChange is a field that has changed.
type fieldChange struct {
	Field  string         `json:"field" doc:"the field" example:"state"`
	Before jsontext.Value `json:"before,omitzero" doc:"its value before; absent: there was none, or it may be a secret or what somebody has written"`
	After  jsontext.Value `json:"after,omitzero" doc:"its value since; absent as before"`
}

func shapeAudit(e *hook.AuditEntry) auditShape {
	return auditShape{
		Number: e.Num, At: stamp(e.At), Action: e.Action, Operation: e.Operation, Tenant: e.Tenant, Object: e.Object, Result: string(e.Result),
		Actor: actorShape{Kind: string(e.Actor.Kind), Key: e.Actor.KeyID, Name: e.Actor.KeyName, Contract: e.Actor.Contract, Address: e.Actor.Address, Request: e.Actor.Request},
		Changes: each(e.Changes, func(c hook.AuditChange) fieldChange {
			return fieldChange{c.Field, jsontext.Value(c.Before), jsontext.Value(c.After)}
		}),
	}
}

// auditPlace orders entries by their number.
var auditPlace = place[int64]{
	bytes: func(n int64) []byte { return binary.AppendUvarint(nil, uint64(n)) },
	above: func(n int64) int64 { return n + 1 },
	below: func(n int64) int64 { return n - 1 },
}

// listAudit lists the audit log, of the tenant in the path or of all.
func (a *API) listAudit(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	ask := store.AuditQuery{Tenant: hook.AllTenants, Oldest: q.back}
	if c.tenant != nil {
		ask.Tenant = c.tenant.Num
	}
	if ask.Since, ask.Until, err = q.window(); err != nil {
		return err
	}
	from := int64(0)
	if q.after != nil {
		n, read := binary.Uvarint(q.after)
		if read <= 0 {
			return hook.Invalid("", "the cursor is not one of this list")
		}
		from = int64(n)
	}
	found, rest, err := gather(q, from, func(from int64, limit int) ([]*hook.AuditEntry, int64, error) {
		if ask.Limit = limit; q.back {
			ask.After = from
		} else {
			ask.Before = from
		}
		p, err := a.Reader.AuditLog(c.r.Context(), ask)
		return p.Entries, p.Next, err
	})
	if err != nil {
		return err
	}
	l := neighbours(a, c, q, auditPlace, from, found, rest, func(e *hook.AuditEntry) int64 { return e.Num })
	return page(c, each(slices.Clip(found), shapeAudit), l)
}
