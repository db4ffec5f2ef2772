package client

import (
	"context"
	"net/http"
	"time"
)

// The states of the connection with a tenant's store.
const (
	Lost     = "lost"
	Restored = "restored"
)

// StoreConnectionInput says what has become of the connection with a tenant's
// store. What is zero is filled in by the server.
type StoreConnectionInput struct {
	State   string `json:"state"` // Lost or Restored
	Code    int    `json:"code,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// StoreConnection is the connection with a tenant's store. Of a restored one,
// only State is set.
type StoreConnection struct {
	State     string     `json:"state"`
	Code      int        `json:"code,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Message   string     `json:"message,omitempty"`
	LostAt    *time.Time `json:"lost_at,omitempty"`
	Told      int        `json:"told,omitempty"`       // how many times the endpoints have been told
	TriesLeft *int       `json:"tries_left,omitempty"` // how many times they will be told yet
	Endpoints *int       `json:"endpoints,omitempty"`  // of one that was lost just now: how many are told
	NextAt    *time.Time `json:"next_at,omitempty"`    // when; nil: they have been disabled
}

// SetConnection says that the connection with a tenant's store is lost or
// restored, for contracts that tell their endpoints of it.
func (c *Client) SetConnection(ctx context.Context, tenant string, in StoreConnectionInput, options ...Option) (*StoreConnection, error) {
	out := new(StoreConnection)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "connection"), options, in, out)
}
