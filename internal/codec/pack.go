package codec

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"grapnel/internal/hook"
)

// What events carry, and the bodies kept for the next attempt, may be compressed:
// each value by itself, as one frame of zstd. A value that begins with zstd's magic
// number is such a frame, and nothing else begins with it, for whatever would is
// compressed in any case. So values of both kinds can stand in one folder, whatever
// the setting was when they came.

// magic begins a frame of zstd.
var magic = []byte{0x28, 0xb5, 0x2f, 0xfd}

const (
	// packFrom is the size from which on compressing is tried.
	packFrom = 200
	// UnpackMost bounds what a value can grow to when it is read: more than the
	// largest event that can be taken. A damaged file must not cost more. A body
	// that is larger, for its contract spells events out, is kept as it is.
	UnpackMost = 80 << 20
)

// encoder is shared by all stores. Made when it is first needed, for it takes
// about a megabyte.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // these options do not fail
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(min(4, runtime.GOMAXPROCS(0))), zstd.WithDecoderMaxMemory(UnpackMost), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err)
	}
	return d
})

// Packer compresses values. Its zero value only what it must.
type Packer struct {
	On  bool // compress what gets smaller by it
	buf []byte
}

// Pack gives the stored form of a value: itself, or a frame that stands in the
// Packer's buffer until reset.
func (p *Packer) Pack(v []byte) []byte {
	must := bytes.HasPrefix(v, magic)
	if !must && (!p.On || len(v) < packFrom || len(v) > UnpackMost) {
		return v
	}
	from := len(p.buf)
	p.buf = encoder().EncodeAll(v, p.buf)
	if size := len(p.buf) - from; !must && size > len(v)-len(v)/8 { // not worth unpacking
		p.buf = p.buf[:from]
		return v
	}
	return p.buf[from:len(p.buf):len(p.buf)]
}

// Reset lets the buffer be used anew, unless it has become very large.
func (p *Packer) Reset() {
	if p.buf = p.buf[:0]; cap(p.buf) > 4<<20 {
		p.buf = nil
	}
}

// Packed is what of an event may be compressed, as it is stored.
type Packed struct{ Data, Previous, Metadata []byte }

func (p *Packed) Size() int { return len(p.Data) + len(p.Previous) + len(p.Metadata) }

// PackEvents gives the stored forms of what events carry.
func (p *Packer) PackEvents(events []*hook.Event) []Packed {
	out := make([]Packed, len(events))
	for i, e := range events {
		out[i] = Packed{p.Pack(e.Data), p.Pack(e.Previous), p.Pack(e.Metadata)}
	}
	return out
}

// IsPacked reports whether a stored form is a frame.
func IsPacked(stored []byte) bool { return bytes.HasPrefix(stored, magic) }

// Unpack gives the value of a stored form, in memory of its own.
func Unpack(stored []byte) ([]byte, error) {
	if !bytes.HasPrefix(stored, magic) {
		return slices.Clone(stored), nil
	}
	v, err := decoder().DecodeAll(stored, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return v, nil
}
