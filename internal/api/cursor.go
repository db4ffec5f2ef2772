package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/hook"
)

// How many items a page has.
const (
	defaultLimit = 50
	maxLimit     = 250
)

const cursorMAC = 16 // bytes of it

// query reads the parameters of a list.
type query struct {
	values url.Values
	limit  int
	after  []byte // what the cursor holds; nil on the first page
}

// query reads the parameters that every list has. Those that the route's row
// does not name have been refused.
func (a *API) query(c *call) (query, error) {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return query{}, hook.Invalid("", "the query cannot be read")
	}
	q := query{values: values, limit: defaultLimit}
	if text := values.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			return query{}, hook.Invalid("", "limit is a number from 1 to %d", maxLimit)
		}
		q.limit = n
	}
	if text := values.Get("cursor"); text != "" {
		if q.after, err = a.openCursor(c, q, text); err != nil {
			return query{}, err
		}
	}
	return q, nil
}

// cursor writes where the next page begins. It is bound to the list and its
// filters, and cannot be made by others (case 111).
func (a *API) cursor(c *call, q query, position []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(slices.Clone(position), a.mac(c, q, position)...))
}

func (a *API) openCursor(c *call, q query, text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err == nil && len(b) > cursorMAC {
		position, mac := b[:len(b)-cursorMAC], b[len(b)-cursorMAC:]
		if hmac.Equal(mac, a.mac(c, q, position)) {
			return position, nil
		}
	}
	return nil, hook.Invalid("", "the cursor is not one of this list with these filters: begin again without it")
}

func (a *API) mac(c *call, q query, position []byte) []byte {
	filters := url.Values{}
	for name, v := range q.values {
		if name != "cursor" && name != "limit" {
			filters[name] = v
		}
	}
	h := hmac.New(sha256.New, a.CursorKey)
	for _, part := range []string{c.r.URL.EscapedPath(), filters.Encode(), string(position)} {
		h.Write([]byte(strconv.Itoa(len(part))))
		h.Write([]byte{':'})
		h.Write([]byte(part))
	}
	return h.Sum(nil)[:cursorMAC]
}

// time reads a bound of time.
func (q *query) time(name string) (time.Time, error) {
	text := q.values.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	// An unescaped + in a query is a space.
	t, err := time.Parse(time.RFC3339Nano, strings.ReplaceAll(text, " ", "+"))
	if err != nil {
		return time.Time{}, hook.Invalid("", "%s is a time of RFC 3339 such as 2026-01-31T08:00:00Z", name)
	}
	return t, nil
}

// window reads since and until.
func (q *query) window() (since, until time.Time, err error) {
	if since, err = q.time("since"); err != nil {
		return
	}
	until, err = q.time("until")
	return
}

// slicePage is the part of a list in memory that follows the cursor. key names
// an item's place; items come in the order of their keys.
func slicePage[T any](a *API, c *call, q query, items []T, key func(T) string) (part []T, next string) {
	begin := 0
	if q.after != nil {
		begin = len(items)
		for i, item := range items {
			if key(item) > string(q.after) {
				begin = i
				break
			}
		}
	}
	end := min(begin+q.limit, len(items))
	part = items[begin:end]
	if end < len(items) {
		next = a.cursor(c, q, []byte(key(items[end-1])))
	}
	return part, next
}
