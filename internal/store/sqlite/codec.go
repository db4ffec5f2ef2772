package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"grapnel/internal/hook"
)

// errFormat says that a stored value cannot be read.
var errFormat = errors.New("stored value is malformed")

// Times are nanoseconds since 1970 UTC, 0 for the zero time. One that they
// cannot say (before 1678, after 2262) is the nearest that they can.
func fromTime(t time.Time) int64 {
	const most = math.MaxInt64 / int64(time.Second) // whole seconds
	switch s := t.Unix(); {
	case t.IsZero():
		return 0
	case s >= most:
		return math.MaxInt64
	case s <= -most:
		return math.MinInt64
	}
	return t.UnixNano()
}

func toTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// appendTargets writes targets as one uvarint each: the step from the endpoint
// number before, times 4, plus the disposition.
func appendTargets(b []byte, targets []hook.Target) []byte {
	var last hook.EndpointNum
	for _, t := range targets {
		b = binary.AppendUvarint(b, uint64(t.Endpoint-last)<<2|uint64(t.Disposition&3))
		last = t.Endpoint
	}
	return b
}

// parseTargets reads what appendTargets wrote.
func parseTargets(b []byte) ([]hook.Target, error) {
	var out []hook.Target
	var last hook.EndpointNum
	for len(b) > 0 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errFormat
		}
		b = b[n:]
		last += hook.EndpointNum(v >> 2)
		out = append(out, hook.Target{Endpoint: last, Disposition: hook.Disposition(v & 3)})
	}
	return out, nil
}

// checkTargets refuses what appendTargets cannot write.
func checkTargets(targets []hook.Target) error {
	var last hook.EndpointNum
	for _, t := range targets {
		if t.Endpoint <= last {
			return fmt.Errorf("targets are not in the order of endpoint numbers: %d after %d", t.Endpoint, last)
		}
		if t.Disposition > 3 {
			return fmt.Errorf("disposition %d cannot be stored", t.Disposition)
		}
		last = t.Endpoint
	}
	return nil
}

// reader takes values off the front of a slice; after a mistake all are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// bytes copies; empty is nil.
func (r *reader) bytes() []byte { return append([]byte(nil), r.take(r.uint())...) }
func (r *reader) text() string  { return string(r.take(r.uint())) }

// entry is what the memory of a segment keeps of an event.
type entry struct {
	id      int64
	tenant  hook.TenantNum
	keyed   bool
	hash    uint64
	targets []hook.Target
}

// appendEntry writes an entry for the table ix: the step of the id from the one
// before, the tenant and whether it has a key, the key's hash, the targets.
func appendEntry(b []byte, last int64, e *entry) []byte {
	b = binary.AppendUvarint(b, uint64(e.id-last))
	flag := uint64(0)
	if e.keyed {
		flag = 1
	}
	b = binary.AppendUvarint(b, uint64(e.tenant)<<1|flag)
	if e.keyed {
		b = binary.LittleEndian.AppendUint64(b, e.hash)
	}
	b = binary.AppendUvarint(b, uint64(len(e.targets)))
	return appendTargets(b, e.targets)
}

// entry reads what appendEntry wrote.
func (r *reader) entry(last int64) (e entry) {
	e.id = last + int64(r.uint())
	v := r.uint()
	e.tenant, e.keyed = hook.TenantNum(v>>1), v&1 == 1
	if e.keyed {
		if h := r.take(8); h != nil {
			e.hash = binary.LittleEndian.Uint64(h)
		}
	}
	n := r.uint()
	if n > uint64(len(r.b)) { // each takes a byte at least
		r.bad, r.b = true, nil
		return e
	}
	e.targets = make([]hook.Target, n)
	var num hook.EndpointNum
	for i := range e.targets {
		v := r.uint()
		num += hook.EndpointNum(v >> 2)
		e.targets[i] = hook.Target{Endpoint: num, Disposition: hook.Disposition(v & 3)}
	}
	return e
}

// appendEntries writes a row of ix: the number of the first delivery, how many
// entries, the entries; then the rowid of the first request, how many, and
// their hashes.
func appendEntries(b []byte, number int64, entries []entry, request int64, requests []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(number))
	b = binary.AppendUvarint(b, uint64(len(entries)))
	last := int64(0)
	for i := range entries {
		b = appendEntry(b, last, &entries[i])
		last = entries[i].id
	}
	b = binary.AppendUvarint(b, uint64(request))
	b = binary.AppendUvarint(b, uint64(len(requests)))
	for _, h := range requests {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return b
}

// load adds a row of ix to the memory.
func (x *index) load(b []byte) error {
	r := &reader{b: b}
	number := int64(r.uint())
	last := int64(0)
	for n := r.uint(); n > 0 && !r.bad; n-- {
		e := r.entry(last)
		if r.bad {
			break
		}
		x.add(&e, number)
		last, number = e.id, number+int64(len(e.targets))
	}
	request := int64(r.uint())
	for n := r.uint(); n > 0 && !r.bad; n-- {
		if h := r.take(8); h != nil {
			x.requests.add(binary.LittleEndian.Uint64(h), request)
		}
		request++
	}
	if r.bad || len(r.b) > 0 {
		return errFormat
	}
	return nil
}

// listed is how many deliveries, events or hashes a row of an index table holds.
const listed = 128

// appendDeliveries writes a row of by_endpoint: the steps of the event ids from
// the first one, each with the step of the delivery's number.
func appendDeliveries(b []byte, list []delivery) []byte {
	event, number := list[0].event, int64(0)
	for _, d := range list {
		b = binary.AppendUvarint(b, uint64(d.event-event))
		b = binary.AppendUvarint(b, uint64(d.number-number))
		event, number = d.event, d.number
	}
	return b
}

// parseDeliveries reads what appendDeliveries wrote.
func parseDeliveries(b []byte, first int64) (out []delivery, err error) {
	out = make([]delivery, 0, min(len(b)/2, listed)) // each takes two bytes at least
	r := &reader{b: b}
	d := delivery{event: first}
	for len(r.b) > 0 {
		d.event += int64(r.uint())
		d.number += int64(r.uint())
		out = append(out, d)
	}
	if r.bad {
		return nil, errFormat
	}
	return out, nil
}

// appendIDs writes a row of by_tenant: the steps of the event ids from the first.
func appendIDs(b []byte, ids []int64) []byte {
	last := ids[0]
	for _, id := range ids {
		b = binary.AppendUvarint(b, uint64(id-last))
		last = id
	}
	return b
}

// parseIDs reads what appendIDs wrote.
func parseIDs(b []byte, first int64) (out []int64, err error) {
	r := &reader{b: b}
	for len(r.b) > 0 {
		first += int64(r.uint())
		out = append(out, first)
	}
	if r.bad {
		return nil, errFormat
	}
	return out, nil
}

// appendPairs writes a row of idem: the steps of the hashes from the first, which
// are taken as signed numbers, each with its place.
func appendPairs(b []byte, pairs [][2]int64) []byte {
	last := pairs[0][0]
	for _, p := range pairs {
		b = binary.AppendUvarint(b, uint64(p[0]-last))
		b = binary.AppendUvarint(b, uint64(p[1]))
		last = p[0]
	}
	return b
}

// parsePairs reads what appendPairs wrote.
func parsePairs(b []byte, first int64) (out [][2]int64, err error) {
	r := &reader{b: b}
	for len(r.b) > 0 {
		first += int64(r.uint())
		out = append(out, [2]int64{first, int64(r.uint())})
	}
	if r.bad {
		return nil, errFormat
	}
	return out, nil
}
