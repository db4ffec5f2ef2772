package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// The scopes of a key.
const (
	ScopePublish = "publish"
	ScopeRead    = "read"
	ScopeManage  = "manage" // and read
	ScopeAdmin   = "admin"  // everything
)

// Key is an API key.
type Key struct {
	ID        string     `json:"id"`
	Hint      string     `json:"hint"`    // its first characters
	Tenants   []string   `json:"tenants"` // those that it covers; empty: all
	Scopes    []string   `json:"scopes"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // nil: it does not

	// LastUsedAt is about when it was last used; nil: it has not been.
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`

	// Key is the key itself, where it was made just now. It is not told again.
	Key string `json:"key,omitempty"`

	Meta Meta `json:"-"`
}

func (k *Key) noteMeta(h http.Header) { k.Meta.noteMeta(h) }

// KeyInput is what a key is made from.
type KeyInput struct {
	Tenants   []string   `json:"tenants,omitempty"` // those that it covers; empty: all
	Scopes    []string   `json:"scopes"`
	Key       string     `json:"key,omitempty"` // one to take over; "": the server makes it
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// Key gets what is known of a key, by its id.
func (c *Client) Key(ctx context.Context, id string, options ...Option) (*Key, error) {
	out := new(Key)
	return out, c.call(ctx, http.MethodGet, at("keys", id), options, nil, out)
}

// Keys lists the keys, without the keys themselves.
func (c *Client) Keys(ctx context.Context) iter.Seq2[*Key, error] {
	return list[Key](ctx, c, at("keys"), nil)
}

// KeyPage gets one page of Keys.
func (c *Client) KeyPage(ctx context.Context, where At, options ...Option) (*Page[Key], error) {
	return page[Key](ctx, c, at("keys"), nil, where, options)
}

// CreateKey makes a key. Its answer is the only one that holds the key.
func (c *Client) CreateKey(ctx context.Context, in KeyInput, options ...Option) (*Key, error) {
	out := new(Key)
	return out, c.call(ctx, http.MethodPost, at("keys"), options, in, out)
}

// RevokeKey ends a key.
func (c *Client) RevokeKey(ctx context.Context, id string, options ...Option) (*Removal, error) {
	return c.remove(ctx, at("keys", id), options)
}
