package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Page is a part of a list.
type Page[T any] struct {
	Data []*T   `json:"data"`
	Next string `json:"next_cursor,omitempty"` // of the page behind this one; "": there is none
	Prev string `json:"prev_cursor,omitempty"` // of the page before this one; "": there is none

	Meta Meta `json:"-"`
}

func (p *Page[T]) noteMeta(h http.Header) { p.Meta.noteMeta(h) }

// At says which page of a list is wanted. The zero value is the first.
type At struct {
	Cursor string // Next or Prev of another page of the same list; "": the first page
	Limit  int    // at most so many things, up to 250; 0: as many as the server likes
}

// pageSize is the largest page that the server gives.
const pageSize = 250

// page gets one page.
func page[T any](ctx context.Context, c *Client, segments []string, query url.Values, where At, options []Option) (*Page[T], error) {
	r := newRequest(http.MethodGet, segments, options)
	for name, values := range query {
		r.query[name] = values
	}
	if where.Limit > 0 {
		r.query.Set("limit", strconv.Itoa(where.Limit))
	}
	if where.Cursor != "" {
		r.query.Set("cursor", where.Cursor)
	}
	out := new(Page[T])
	return out, c.send(ctx, r, out)
}

// list walks over all pages of a list.
func list[T any](ctx context.Context, c *Client, segments []string, query url.Values) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		where := At{Limit: pageSize}
		for {
			p, err := page[T](ctx, c, segments, query, where, nil)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, v := range p.Data {
				if !yield(v, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			where.Cursor = p.Next
		}
	}
}

// conditions makes a query of those texts and times that are set.
func conditions(texts map[string]string, times map[string]time.Time) url.Values {
	q := url.Values{}
	for name, v := range texts {
		if v != "" {
			q.Set(name, v)
		}
	}
	for name, t := range times {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}
