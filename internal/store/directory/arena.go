package directory

import (
	"encoding/binary"
	"runtime"
)

// place is where a packed record lies in an arena: the number of its chunk and
// the offset in it. 0: nowhere. A place is never given twice, so whoever finds a
// record at the same place finds the same record.
type place uint64

func placeOf(chunk, offset int) place { return place(chunk)<<32 | place(offset) }

func (p place) chunk() int  { return int(p >> 32) }
func (p place) offset() int { return int(p & (1<<32 - 1)) }

// The capacity of chunks: small ones for small installations, and from mapped on
// they lie outside of the collector's heap.
const (
	smallChunk = 16 << 10
	fullChunk  = 1 << 20
)

// arena keeps packed records in few large pieces of memory, outside of the heap
// that the collector lets grow to a multiple of what is in use. What is written
// is never changed or moved in place: a reader may go on with what it found after
// the lock is given back, as long as it keeps the chunk alive.
type arena struct {
	chunks []*chunk // by number, the first one is never used; nil: it is gone. The last one is being filled
	held   int      // capacity of all chunks
	sparse []int    // numbers of chunks of which less than half is in use
}

type chunk struct {
	b    []byte // its capacity is fixed
	live int    // bytes of records that are in use
}

// add stores a record.
func (a *arena) add(record []byte) place {
	need := len(record) + binary.MaxVarintLen32
	c := a.filling()
	if c == nil || cap(c.b)-len(c.b) < need {
		c = a.grow(need)
	}
	offset := len(c.b)
	c.b = binary.AppendUvarint(c.b, uint64(len(record)))
	c.b = append(c.b, record...)
	c.live += len(c.b) - offset
	return placeOf(len(a.chunks)-1, offset)
}

// filling is the chunk that records are added to, nil if there is none.
func (a *arena) filling() *chunk {
	if len(a.chunks) == 0 {
		return nil
	}
	return a.chunks[len(a.chunks)-1]
}

func (a *arena) grow(need int) *chunk {
	if len(a.chunks) == 0 {
		a.chunks = append(a.chunks, nil)
	} else {
		a.reconsider(len(a.chunks) - 1)
	}
	c := newChunk(max(need, min(max(a.held/4, smallChunk), fullChunk)))
	a.held += cap(c.b)
	a.chunks = append(a.chunks, c)
	return c
}

func newChunk(size int) *chunk {
	if size < fullChunk {
		return &chunk{b: make([]byte, 0, size)}
	}
	mapped := mapMemory(size)
	if mapped == nil {
		return &chunk{b: make([]byte, 0, size)}
	}
	c := &chunk{b: mapped[:0]}
	runtime.AddCleanup(c, unmapMemory, mapped)
	return c
}

// at is the record at a place. It is to be read only, and only while the chunk
// is kept alive.
func (a *arena) at(p place) (*chunk, []byte) {
	c := a.chunks[p.chunk()]
	n, length := binary.Uvarint(c.b[p.offset():])
	begin := p.offset() + length
	return c, c.b[begin : begin+int(n)]
}

// drop gives a record up. Nothing happens at no place.
func (a *arena) drop(p place) {
	if p == 0 {
		return
	}
	c := a.chunks[p.chunk()]
	n, length := binary.Uvarint(c.b[p.offset():])
	before := c.live
	c.live -= length + int(n)
	if p.chunk() == len(a.chunks)-1 {
		return // looked at when it is full
	}
	if half := cap(c.b) / 2; c.live == 0 || before >= half && c.live < half {
		a.reconsider(p.chunk())
	}
}

// reconsider lets go of a full chunk that nothing is left in, and notes one that
// little is left in.
func (a *arena) reconsider(number int) {
	c := a.chunks[number]
	switch {
	case c.live == 0:
		a.release(number)
	case c.live < cap(c.b)/2:
		a.sparse = append(a.sparse, number)
	}
}

func (a *arena) release(number int) {
	a.held -= cap(a.chunks[number].b)
	a.chunks[number] = nil
}

// compact moves what is left in sparse chunks. moved is told of each record that
// was in one with where it would lie now; it says whether the record is in use,
// and if so takes the new place over.
func (a *arena) compact(moved func(record []byte, from place, to func() place)) {
	for len(a.sparse) > 0 {
		number := a.sparse[len(a.sparse)-1]
		a.sparse = a.sparse[:len(a.sparse)-1]
		c := a.chunks[number]
		if c == nil {
			continue
		}
		for offset := 0; offset < len(c.b); {
			n, length := binary.Uvarint(c.b[offset:])
			record := c.b[offset+length : offset+length+int(n)]
			moved(record, placeOf(number, offset), func() place { return a.add(record) })
			offset += length + int(n)
		}
		if a.chunks[number] != nil {
			a.release(number)
		}
	}
}
