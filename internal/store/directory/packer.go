package directory

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"
	"time"

	"grapnel/internal/hook"
)

// packer writes the parts of a record, unpacker reads them in the same order.
// Lengths of what may be nil are written as one more, 0 is nil.
type packer struct{ b []byte }

type unpacker struct{ s string }

func (p *packer) uint(v uint64) { p.b = binary.AppendUvarint(p.b, v) }
func (p *packer) int(v int64)   { p.b = binary.AppendVarint(p.b, v) }

func (u *unpacker) uint() uint64 {
	var v uint64
	for i := 0; ; i++ {
		c := u.s[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			u.s = u.s[i+1:]
			return v
		}
	}
}

func (u *unpacker) int() int64 {
	v := u.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (u *unpacker) take(n uint64) string {
	s := u.s[:n]
	u.s = u.s[n:]
	return s
}

// The forms of a text, in two bits: as it is, or one that is shorter in bytes than
// in letters.
const (
	_ = iota // as it is
	endpointID
	sealedText
)

const (
	idPrefix     = "ep_"
	sealedPrefix = "k1."
)

var (
	idLetters     = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)
	sealedLetters = base64.RawURLEncoding.Strict()
)

// text writes a text of any form.
func (p *packer) text(s string) {
	if strings.HasPrefix(s, idPrefix) && p.id(s) || strings.HasPrefix(s, sealedPrefix) && p.sealed(s) {
		return
	}
	p.uint(uint64(len(s)) << 2)
	p.b = append(p.b, s...)
}

// id writes an id in bytes. It writes nothing and reports false where the text is
// not the one spelling of them.
func (p *packer) id(s string) bool {
	const size = 16
	letters := s[len(idPrefix):]
	if len(letters) != (size*8+4)/5 {
		return false
	}
	var raw, again [32]byte
	n, err := idLetters.Decode(raw[:], append(again[:0], letters...))
	if err != nil || n != size {
		return false
	}
	idLetters.Encode(again[:], raw[:size])
	if string(again[:len(letters)]) != letters {
		return false
	}
	p.uint(size<<2 | endpointID)
	p.b = append(p.b, raw[:size]...)
	return true
}

// sealed writes what is sealed in bytes, as id does.
func (p *packer) sealed(s string) bool {
	dot := strings.LastIndexByte(s, '.') + 1
	letters := s[dot:]
	var from, raw [512]byte
	if len(letters) > len(from) || strings.ContainsAny(letters, "\r\n") { // decoding passes over them
		return false
	}
	n, err := sealedLetters.Decode(raw[:], append(from[:0], letters...))
	if err != nil {
		return false
	}
	p.uint(uint64(n)<<2 | sealedText)
	p.bytes(s[:dot])
	p.b = append(p.b, raw[:n]...)
	return true
}

func (u *unpacker) text() string {
	head := u.uint()
	switch head & 3 {
	case endpointID:
		b := append(make([]byte, 0, 32), idPrefix...)
		return string(idLetters.AppendEncode(b, []byte(u.take(head>>2))))
	case sealedText:
		before := u.bytes()
		b := append(make([]byte, 0, 256), before...)
		return string(sealedLetters.AppendEncode(b, []byte(u.take(head>>2))))
	}
	return u.take(head >> 2)
}

// packedText is a text alone, to compare with what skipText gives.
func packedText(s string) string {
	var p packer
	p.text(s)
	return string(p.b)
}

// skipText passes a text and returns it as it is packed.
func (u *unpacker) skipText() string {
	before := u.s
	head := u.uint()
	if head&3 == sealedText {
		u.bytes()
	}
	u.take(head >> 2)
	return before[:len(before)-len(u.s)]
}

// bytes writes a short text with its length.
func (p *packer) bytes(s string) {
	p.uint(uint64(len(s)))
	p.b = append(p.b, s...)
}

func (u *unpacker) bytes() string { return u.take(u.uint()) }

// The forms of a time.
const (
	noTime   = iota
	sameTime // as the one that it is counted from
	laterTime
	anyTime
)

// time writes a time, counted from another one of the record.
func (p *packer) time(t, from time.Time) {
	switch {
	case t == time.Time{}:
		p.b = append(p.b, noTime)
	case t == from:
		p.b = append(p.b, sameTime)
	case t.Location() == time.UTC && t == time.Unix(0, t.UnixNano()).UTC():
		p.b = append(p.b, laterTime)
		p.int(t.UnixNano() - base(from))
	default:
		p.b = append(p.b, anyTime)
		raw, err := t.MarshalBinary()
		if err != nil { // an offset of more than a day: no JSON holds one
			raw, _ = t.UTC().MarshalBinary()
		}
		p.bytes(string(raw))
	}
}

func (u *unpacker) time(from time.Time) (t time.Time) {
	switch u.take(1)[0] {
	case sameTime:
		return from
	case laterTime:
		return time.Unix(0, u.int()+base(from)).UTC()
	case anyTime:
		_ = t.UnmarshalBinary([]byte(u.bytes()))
	}
	return t
}

// base is what times are counted from, in nanoseconds; what is outside of their
// range counts from nowhere in particular, but always the same.
func base(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func (p *packer) float(v float64) { p.b = binary.LittleEndian.AppendUint64(p.b, math.Float64bits(v)) }

func (u *unpacker) float() float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64([]byte(u.take(8))))
}

// packList writes a list that may be nil.
func packList[T any](p *packer, list []T, item func(T)) {
	if list == nil {
		p.uint(0)
		return
	}
	p.uint(uint64(len(list)) + 1)
	for _, v := range list {
		item(v)
	}
}

func unpackList[T any](u *unpacker, item func() T) []T {
	n := u.uint()
	if n == 0 {
		return nil
	}
	list := make([]T, n-1)
	for i := range list {
		list[i] = item()
	}
	return list
}

func (p *packer) texts(list []string) { packList(p, list, p.text) }
func (u *unpacker) texts() []string   { return unpackList(u, u.text) }

// packMap writes a map that may be nil, in the order of its keys.
func packMap[V ~string](p *packer, m map[string]V) {
	if m == nil {
		p.uint(0)
		return
	}
	p.uint(uint64(len(m)) + 1)
	for _, k := range sortedKeys(m) {
		p.text(k)
		p.text(string(m[k]))
	}
}

func unpackMap[V ~string](u *unpacker) map[string]V {
	n := u.uint()
	if n == 0 {
		return nil
	}
	m := make(map[string]V, n-1)
	for range n - 1 {
		k := u.text()
		m[k] = V(u.text())
	}
	return m
}

func packPast[T any](p *packer, list []hook.Past[T], from time.Time, value func(T)) {
	packList(p, list, func(past hook.Past[T]) {
		p.int(past.Before)
		p.time(past.At, from)
		value(past.Value)
	})
}

func unpackPast[T any](u *unpacker, from time.Time, value func() T) []hook.Past[T] {
	return unpackList(u, func() (past hook.Past[T]) {
		past.Before, past.At, past.Value = u.int(), u.time(from), value()
		return past
	})
}
