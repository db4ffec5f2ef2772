package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"grapnel/internal/hook"
)

// ErrFormat says that a stored value cannot be read.
var ErrFormat = errors.New("stored value is malformed")

// Times are nanoseconds since 1970 UTC, 0 for the zero time. One that they
// cannot say (before 1678, after 2262) is the nearest that they can.
func FromTime(t time.Time) int64 {
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

func ToTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// AppendTargets writes targets as one uvarint each: the step from the endpoint
// number before, times 4, plus the disposition.
func AppendTargets(b []byte, targets []hook.Target) []byte {
	var last hook.EndpointNum
	for _, t := range targets {
		b = binary.AppendUvarint(b, uint64(t.Endpoint-last)<<2|uint64(t.Disposition&3))
		last = t.Endpoint
	}
	return b
}

// ParseTargets reads what AppendTargets wrote.
func ParseTargets(b []byte) ([]hook.Target, error) {
	var out []hook.Target
	var last hook.EndpointNum
	for len(b) > 0 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, ErrFormat
		}
		b = b[n:]
		last += hook.EndpointNum(v >> 2)
		out = append(out, hook.Target{Endpoint: last, Disposition: hook.Disposition(v & 3)})
	}
	return out, nil
}

// CheckTargets refuses what AppendTargets cannot write.
func CheckTargets(targets []hook.Target) error {
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

// Reader takes values off the front of a slice; after a mistake all are zero.
type Reader struct {
	B   []byte // what is left
	Bad bool
}

func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.B)
	if n <= 0 {
		r.Bad, r.B = true, nil
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Size is a count, of which none is written that an int cannot hold.
func (r *Reader) Size() int {
	v := r.Uint()
	if v > math.MaxInt {
		r.Bad, r.B = true, nil
		return 0
	}
	return int(v)
}

func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.B)
	if n <= 0 {
		r.Bad, r.B = true, nil
		return 0
	}
	r.B = r.B[n:]
	return v
}

func (r *Reader) Take(n uint64) []byte {
	if n > uint64(len(r.B)) {
		r.Bad, r.B = true, nil
		return nil
	}
	v := r.B[:n]
	r.B = r.B[n:]
	return v
}

// bytes copies; empty is nil.
func (r *Reader) Bytes() []byte { return append([]byte(nil), r.Take(r.Uint())...) }
func (r *Reader) Text() string  { return string(r.Take(r.Uint())) }
