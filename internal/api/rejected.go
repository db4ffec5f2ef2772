package api

import (
	"encoding/binary"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// rejectedShape is an event that was published in the database and could not be taken.
type rejectedShape struct {
	ID          string `json:"id" doc:"what grapnel.publish returned" example:"invoice-17-paid"`
	Tenant      string `json:"tenant" doc:"whose it is" example:"acme"`
	Type        string `json:"type" doc:"its type" example:"invoice.paid"`
	Data        string `json:"data" doc:"the text that was published, as it was" example:"{\"a\":1,\"a\":2}"`
	Code        string `json:"code" doc:"what kind of thing is wrong with it" example:"invalid"`
	Reason      string `json:"reason" doc:"what is wrong with it, and what to do" example:"/data: not valid JSON at byte 8: duplicate object member name"`
	Time        *stamp `json:"time" doc:"when it happened, if that was said"`
	PublishedAt stamp  `json:"published_at" doc:"when it was published"`
	RejectedAt  stamp  `json:"rejected_at" doc:"when it was rejected"`
}

func (c *call) shapeRejected(r *store.Rejected) rejectedShape {
	out := rejectedShape{
		ID: r.Key, Tenant: c.tenant.ID, Type: r.Type, Data: string(r.Data), Code: string(r.Code), Reason: r.Reason,
		PublishedAt: stamp(r.At), RejectedAt: stamp(r.RejectedAt),
	}
	if !r.Time.IsZero() {
		t := stamp(r.Time)
		out.Time = &t
	}
	return out
}

// listRejected lists what could not be taken out of the store's inbox.
func (a *API) listRejected(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	ask := store.RejectedQuery{Tenant: c.tenant.Num, Key: q.values.Get("id"), Limit: q.limit + 1}
	if q.after != nil {
		if len(q.after) != 8 || q.back {
			return hook.Invalid("", "the cursor is not one of this list")
		}
		ask.Before = int64(binary.BigEndian.Uint64(q.after))
	}
	var found []*store.Rejected
	if a.Inbox != nil {
		if found, err = a.Inbox.Rejected(c.r.Context(), ask); err != nil {
			return err
		}
	}
	var l links
	if len(found) > q.limit {
		found = found[:q.limit]
		l.next = a.cursor(c, q, forth, binary.BigEndian.AppendUint64(nil, uint64(found[q.limit-1].N)))
	}
	return page(c, each(found, c.shapeRejected), l)
}
