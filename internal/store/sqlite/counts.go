package sqlite

import (
	"encoding/binary"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
)

// laneCounts is the name, among a sealed segment's filters, of the list of its
// lanes with how many deliveries each has. Unlike the filters it is read at start
// alone.
const laneCounts = "lanes"

// counts writes the list: steps of the endpoint numbers, each with its count.
func (x *index) counts() []byte {
	x.mu.RLock()
	defer x.mu.RUnlock()
	b := make([]byte, 0, 4*len(x.endpoints))
	last := hook.EndpointNum(0)
	for _, e := range sortedKeys(x.endpoints) {
		b = binary.AppendUvarint(b, uint64(e-last))
		b = binary.AppendUvarint(b, uint64(len(x.endpoints[e])))
		last = e
	}
	return b
}

// eachLane visits the lanes that have deliveries in a segment, in the order of
// their endpoints, with how many.
func (c *connection) eachLane(visit func(e hook.EndpointNum, deliveries int64) error) error {
	if x := c.index; x != nil {
		counts := x.lanes()
		for _, e := range sortedKeys(counts) {
			if err := visit(e, counts[e]); err != nil {
				return err
			}
		}
		return nil
	}
	var list []byte
	err := c.query(`SELECT bits FROM filters WHERE name = ?`, []any{laneCounts}, func(st *sqlite3.Stmt) bool {
		list = blob(st, 0)
		return false
	})
	if err != nil {
		return err
	}
	if list == nil {
		return c.eachListed(visit)
	}
	r := &codec.Reader{B: list}
	for e := hook.EndpointNum(0); len(r.B) > 0; {
		e += hook.EndpointNum(r.Uint())
		n := int64(r.Uint())
		if r.Bad {
			return codec.ErrFormat
		}
		if err := visit(e, n); err != nil {
			return err
		}
	}
	return nil
}

// eachListed is eachLane for segments that were sealed without a list. How many
// deliveries there are is then the most that the rows can hold.
func (c *connection) eachListed(visit func(e hook.EndpointNum, deliveries int64) error) error {
	type count struct{ endpoint, deliveries int64 }
	var list []count
	err := c.query(`SELECT endpoint, sum(min(?, length(entries) / 2)) FROM by_endpoint GROUP BY endpoint ORDER BY endpoint`, []any{listed}, func(st *sqlite3.Stmt) bool {
		list = append(list, count{st.ColumnInt64(0), st.ColumnInt64(1)})
		return true
	})
	if err != nil {
		return err
	}
	for _, n := range list {
		if err := visit(hook.EndpointNum(n.endpoint), n.deliveries); err != nil {
			return err
		}
	}
	return nil
}

// countFrom counts an endpoint's deliveries of events at from and above.
func (c *connection) countFrom(e hook.EndpointNum, from int64) (n int64, err error) {
	if x := c.index; x != nil {
		return x.countFrom(e, from), nil
	}
	var bad error
	err = c.query(listUpwards, []any{int64(e), from}, func(st *sqlite3.Stmt) bool {
		var list []delivery
		list, bad = parseDeliveries(st.ColumnRawBlob(1), st.ColumnInt64(0))
		at, _ := slices.BinarySearchFunc(list, from, func(d delivery, from int64) int { return compare(d.event, from) })
		n += int64(len(list) - at)
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return n, err
}

// lanes counts the deliveries of each lane.
func (x *index) lanes() map[hook.EndpointNum]int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := make(map[hook.EndpointNum]int64, len(x.endpoints))
	for e, list := range x.endpoints {
		out[e] = int64(len(list))
	}
	return out
}

func (x *index) countFrom(e hook.EndpointNum, from int64) int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := x.endpoints[e]
	at, _ := slices.BinarySearch(list, x.start(from))
	return int64(len(list) - at)
}
