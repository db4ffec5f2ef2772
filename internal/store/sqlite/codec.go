package sqlite

import (
	"encoding/binary"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
)

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
	return codec.AppendTargets(b, e.targets)
}

// readEntry reads what appendEntry wrote.
func readEntry(r *codec.Reader, last int64) (e entry) {
	e.id = last + int64(r.Uint())
	v := r.Uint()
	e.tenant, e.keyed = hook.TenantNum(v>>1), v&1 == 1
	if e.keyed {
		if h := r.Take(8); h != nil {
			e.hash = binary.LittleEndian.Uint64(h)
		}
	}
	n := r.Uint()
	if n > uint64(len(r.B)) { // each takes a byte at least
		r.Bad, r.B = true, nil
		return e
	}
	e.targets = make([]hook.Target, n)
	var num hook.EndpointNum
	for i := range e.targets {
		v := r.Uint()
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
	r := &codec.Reader{B: b}
	number := int64(r.Uint())
	last := int64(0)
	for n := r.Uint(); n > 0 && !r.Bad; n-- {
		e := readEntry(r, last)
		if r.Bad {
			break
		}
		x.add(&e, number)
		last, number = e.id, number+int64(len(e.targets))
	}
	request := int64(r.Uint())
	for n := r.Uint(); n > 0 && !r.Bad; n-- {
		if h := r.Take(8); h != nil {
			x.requests.add(binary.LittleEndian.Uint64(h), request)
		}
		request++
	}
	if r.Bad || len(r.B) > 0 {
		return codec.ErrFormat
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
	r := &codec.Reader{B: b}
	d := delivery{event: first}
	for len(r.B) > 0 {
		d.event += int64(r.Uint())
		d.number += int64(r.Uint())
		out = append(out, d)
	}
	if r.Bad {
		return nil, codec.ErrFormat
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
	r := &codec.Reader{B: b}
	for len(r.B) > 0 {
		first += int64(r.Uint())
		out = append(out, first)
	}
	if r.Bad {
		return nil, codec.ErrFormat
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
	r := &codec.Reader{B: b}
	for len(r.B) > 0 {
		first += int64(r.Uint())
		out = append(out, [2]int64{first, int64(r.Uint())})
	}
	if r.Bad {
		return nil, codec.ErrFormat
	}
	return out, nil
}
