package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Store tells of the server's store.
type Store struct {
	Engine     string     `json:"engine"`
	Durability string     `json:"durability"` // what a 2xx answer promises
	Events     int64      `json:"events"`
	Units      int64      `json:"units"` // files or partitions that the log is cut into
	Bytes      int64      `json:"bytes"` // on disk
	Oldest     *time.Time `json:"oldest,omitempty"`
	Expired    int64      `json:"expired"` // deliveries that retention ended before they were over
	Writable   bool       `json:"writable"`
	Problem    string     `json:"problem,omitempty"` // why it is not
	LastEvent  string     `json:"last_event,omitempty"`
	Warnings   []string   `json:"warnings,omitempty"` // what threatens a database though it works, and what to do about it
}

// Store gets what the server's store tells of itself.
func (c *Client) Store(ctx context.Context, options ...Option) (*Store, error) {
	out := new(Store)
	return out, c.call(ctx, http.MethodGet, at("store"), options, nil, out)
}

// Backup takes a backup of everything that is committed now and returns it as
// a tar archive, for as long as ctx lasts. Close it. An archive without
// MANIFEST.json at its end was cut short.
func (c *Client) Backup(ctx context.Context, options ...Option) (io.ReadCloser, error) {
	return c.stream(ctx, newRequest(http.MethodPost, at("backup"), options))
}

// WithoutKey keeps the key that secrets are sealed with out of a backup. Without
// it the secrets of what is restored cannot be read.
func WithoutKey() Option { return func(r *request) { r.query.Set("without_key", "true") } }

// OpenAPI gets the description of the API as the server serves it (OpenAPI
// 3.1, JSON).
func (c *Client) OpenAPI(ctx context.Context, options ...Option) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.call(ctx, http.MethodGet, at("openapi.json"), options, nil, &out)
	return out, err
}

// ProblemInfo is what a problem's code means.
type ProblemInfo struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Meaning string `json:"meaning"` // what has happened
	Advice  string `json:"advice"`  // what to do about it
}

// Problem explains a problem's code.
func (c *Client) Problem(ctx context.Context, code string) (*ProblemInfo, error) {
	out := new(ProblemInfo)
	return out, c.call(ctx, http.MethodGet, at("problems", code), nil, nil, out)
}
