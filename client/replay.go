package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// The states of a replay. All but the first are its end.
const (
	ReplayRunning   = "running"
	ReplayDone      = "done"
	ReplayCancelled = "cancelled"
	ReplayFailed    = "failed"
)

// ReplayFilter selects what a replay sends again. A zero field selects all, but
// the server wants one of them at least, Limit apart.
type ReplayFilter struct {
	Endpoint string     `json:"endpoint,omitempty"`
	Events   []string   `json:"events,omitempty"` // by their ids or the publisher's own, up to 1,000; answers have the ids
	Types    []string   `json:"types,omitempty"`  // names, or "prefix.*"
	States   []string   `json:"states,omitempty"` // of the deliveries when the replay comes to them; empty: failed
	Since    *time.Time `json:"since,omitempty"`  // of the events' acceptance
	Until    *time.Time `json:"until,omitempty"`
	Limit    int64      `json:"limit,omitempty"` // at most so many, the oldest; 0: all
	// Rate is how many deliveries a second the replay sends again at most; 0: as many
	// as leave room for what is published meanwhile. In answers it is Replay.Rate.
	Rate float64 `json:"rate,omitempty"`
}

// Replay is a job that sends past deliveries again, oldest first.
type Replay struct {
	ID          string       `json:"id"`
	Tenant      string       `json:"tenant"`
	State       string       `json:"state"`
	Reason      string       `json:"reason,omitempty"` // why it failed or was cancelled
	Filter      ReplayFilter `json:"filter"`
	Rate        float64      `json:"rate,omitempty"` // deliveries a second, at most; 0: no limit of its own
	Total       *int64       `json:"total"`          // deliveries that it is about; nil until they are counted
	Redelivered int64        `json:"redelivered"`    // sent again
	Skipped     int64        `json:"skipped"`        // left alone: their endpoint or event is gone, or they were attempted meanwhile
	Failed      int64        `json:"failed"`         // could not be sent again
	CreatedAt   time.Time    `json:"created_at"`
	UpdatedAt   time.Time    `json:"updated_at"`            // when its counts were last noted
	FinishedAt  *time.Time   `json:"finished_at,omitempty"` // nil while it runs

	Meta Meta `json:"-"`
}

func (r *Replay) noteMeta(h http.Header) { r.Meta.noteMeta(h) }

// Over reports whether the replay has ended.
func (r *Replay) Over() bool { return r.State != ReplayRunning }

// ReplayPreview is what a replay would send again.
type ReplayPreview struct {
	DryRun bool       `json:"dry_run"`
	Count  int64      `json:"count"`
	Exact  bool       `json:"exact"` // false: there are at least so many, for they were too many to count
	Oldest *time.Time `json:"oldest,omitempty"`
	Newest *time.Time `json:"newest,omitempty"`
}

// PreviewReplay says what a replay of this filter would send again, and sends
// nothing.
func (c *Client) PreviewReplay(ctx context.Context, tenant string, f ReplayFilter, options ...Option) (*ReplayPreview, error) {
	out := new(ReplayPreview)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "replays"), append([]Option{DryRun()}, options...), f, out)
}

// CreateReplay begins to send past deliveries again. Replay tells how far it
// is.
func (c *Client) CreateReplay(ctx context.Context, tenant string, f ReplayFilter, options ...Option) (*Replay, error) {
	out := new(Replay)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "replays"), options, f, out)
}

// Replay gets a replay.
func (c *Client) Replay(ctx context.Context, tenant, id string, options ...Option) (*Replay, error) {
	out := new(Replay)
	return out, c.call(ctx, http.MethodGet, at("tenants", tenant, "replays", id), options, nil, out)
}

// Replays lists a tenant's replays, oldest first.
func (c *Client) Replays(ctx context.Context, tenant string) iter.Seq2[*Replay, error] {
	return list[Replay](ctx, c, at("tenants", tenant, "replays"), nil)
}

// ReplayPage gets one page of Replays.
func (c *Client) ReplayPage(ctx context.Context, tenant string, where At, options ...Option) (*Page[Replay], error) {
	return page[Replay](ctx, c, at("tenants", tenant, "replays"), nil, where, options)
}

// CancelReplay stops a replay; what it has sent again stays sent.
func (c *Client) CancelReplay(ctx context.Context, tenant, id string, options ...Option) (*Replay, error) {
	out := new(Replay)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "replays", id, "cancel"), options, nil, out)
}
