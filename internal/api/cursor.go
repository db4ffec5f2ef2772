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
	"unicode/utf8"

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
	back   bool   // the page ends before that place, rather than begins behind it
}

// direction is where from its place a cursor leads.
type direction string

const (
	forth direction = ""
	back  direction = "back"
)

// query reads the parameters that every list has. Those that the route's row
// does not name have been refused.
func (a *API) query(c *call) (query, error) {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return query{}, hook.Invalid("", "the query cannot be read")
	}
	for name, texts := range values {
		for _, text := range texts {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) { // which a database cannot look for
				return query{}, hook.Invalid("", "the parameter %s holds a zero byte, or bytes that are no UTF-8", name)
			}
		}
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
		if q.after, q.back, err = a.openCursor(c, q, text); err != nil {
			return query{}, err
		}
	}
	return q, nil
}

// cursor writes where another page begins or ends. It is bound to the list and
// its filters, and cannot be made by others (case 111).
func (a *API) cursor(c *call, q query, to direction, position []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(slices.Clone(position), mac(a.CursorKeys[0], c, q, to, position)...))
}

func (a *API) openCursor(c *call, q query, text string) (position []byte, backward bool, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err == nil && len(b) > cursorMAC {
		position, given := b[:len(b)-cursorMAC], b[len(b)-cursorMAC:]
		for _, to := range []direction{forth, back} {
			for _, key := range a.CursorKeys {
				if hmac.Equal(given, mac(key, c, q, to, position)) {
					return position, to == back, nil
				}
			}
		}
	}
	return nil, false, hook.Invalid("", "the cursor is not one of this list with these filters: begin again without it")
}

func mac(key []byte, c *call, q query, to direction, position []byte) []byte {
	filters := url.Values{}
	for name, v := range q.values {
		if name != "cursor" && name != "limit" {
			filters[name] = v
		}
	}
	h := hmac.New(sha256.New, key)
	for _, part := range []string{c.r.URL.EscapedPath(), filters.Encode(), string(position), string(to)} {
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

// slicePage is the part of a list in memory that the cursor leads to. key names
// an item's place; items come in the order of their keys.
func slicePage[T any](a *API, c *call, q query, items []T, key func(T) string) (part []T, l links) {
	begin, end := 0, min(q.limit, len(items))
	at := string(q.after)
	if q.after != nil && q.back {
		end, _ = slices.BinarySearchFunc(items, at, func(item T, at string) int { return strings.Compare(key(item), at) })
		begin = max(end-q.limit, 0)
	} else if q.after != nil {
		var found bool
		begin, found = slices.BinarySearchFunc(items, at, func(item T, at string) int { return strings.Compare(key(item), at) })
		if found {
			begin++
		}
		end = min(begin+q.limit, len(items))
	}
	part = items[begin:end]
	switch {
	case end == len(items):
	case end > begin:
		l.next = a.cursor(c, q, forth, []byte(key(items[end-1])))
	default: // what was before is gone: all that there is comes next
		l.next = a.cursor(c, q, forth, []byte{0})
	}
	switch {
	case begin == 0:
	case begin < end:
		l.prev = a.cursor(c, q, back, []byte(key(items[begin])))
	default: // what came next is gone
		l.prev = a.cursor(c, q, back, append([]byte(key(items[begin-1])), 0))
	}
	return part, l
}
