package api

import (
	"encoding/binary"
	"slices"

	"grapnel/internal/hook"
)

// Lists of the log are read newest first. A cursor to the next page says below
// which place it begins; one to the previous page, above which it ends. So
// neither skips or repeats anything when something new comes in.

// maxStorePages is how many pages of the store one answer may be gathered
// from. A page of the store can be short, or hold much that a filter of ours
// leaves out; then the answer is short, and its cursor goes on.
const maxStorePages = 20

// place tells how the places of a list of the log are ordered and written.
type place[K comparable] struct {
	bytes        func(K) []byte
	above, below func(K) K // the nearest place on each side; nothing lies between
}

var eventPlace = place[hook.EventID]{
	bytes: func(id hook.EventID) []byte { return id[:] },
	above: func(id hook.EventID) hook.EventID { return hook.EventIDFrom(id.Seq()+1, 0) },
	below: func(id hook.EventID) hook.EventID { return hook.EventIDFrom(id.Seq()-1, 1<<62-1) },
}

var deliveryPlace = place[hook.DeliveryKey]{
	bytes: func(k hook.DeliveryKey) []byte {
		return binary.AppendUvarint(slices.Clone(k.Event[:]), uint64(k.Endpoint))
	},
	above: func(k hook.DeliveryKey) hook.DeliveryKey { k.Endpoint++; return k },
	below: func(k hook.DeliveryKey) hook.DeliveryKey { k.Endpoint = max(k.Endpoint-1, 0); return k },
}

// links are the cursors of a page's neighbours; "" where there is none.
type links struct{ next, prev string }

// gather reads a page from the store. from is what the cursor says, and read
// reads on from a place, in the direction of the query; the zero place of what
// it returns means that there is no more.
func gather[T any, K comparable](q query, from K, read func(from K, limit int) ([]T, K, error)) (found []T, rest K, err error) {
	var none K
	for range maxStorePages {
		items, next, err := read(from, q.limit-len(found))
		if err != nil {
			return nil, none, err
		}
		found = append(found, items...)
		rest, from = next, next
		if next == none || len(found) >= q.limit {
			break
		}
	}
	if !q.back {
		return found, rest, nil
	}
	slices.Reverse(found)
	// The way back ends at a page that looks like the first one, so see whether
	// there really is something before it.
	for range maxStorePages {
		if rest == none {
			break
		}
		items, next, err := read(rest, 1)
		if err != nil {
			return nil, none, err
		}
		if len(items) > 0 {
			break
		}
		rest = next
	}
	return found, rest, nil
}

// neighbours makes the cursors of a page that was gathered.
func neighbours[T any, K comparable](a *API, c *call, q query, p place[K], from K, found []T, rest K, of func(T) K) (l links) {
	var none, next, prev K
	if q.back {
		next, prev = p.above(from), rest
		if len(found) > 0 {
			next = of(found[len(found)-1])
		}
	} else {
		next = rest
		if q.after != nil {
			prev = p.below(from)
		}
		if q.after != nil && len(found) > 0 {
			prev = of(found[0])
		}
	}
	if next != none {
		l.next = a.cursor(c, q, forth, p.bytes(next))
	}
	if prev != none {
		l.prev = a.cursor(c, q, back, p.bytes(prev))
	}
	return l
}
