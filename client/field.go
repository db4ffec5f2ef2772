package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Field is a field of an input. Its zero value leaves what it is about as it
// is, or at its default in something new.
type Field[T any] struct {
	state byte
	value T
}

const (
	fieldSet  = 1
	fieldNull = 2
)

// Set gives a field a value.
func Set[T any](value T) Field[T] { return Field[T]{fieldSet, value} }

// Null sets a field back to its default.
func Null[T any]() Field[T] { return Field[T]{state: fieldNull} }

// SetIf gives a field the value that p points at, if p is not nil.
func SetIf[T any](p *T) Field[T] {
	if p == nil {
		return Field[T]{}
	}
	return Set(*p)
}

// IsZero reports whether the field leaves things as they are.
func (f Field[T]) IsZero() bool { return f.state == 0 }

// MarshalJSON writes the value, or null.
func (f Field[T]) MarshalJSON() ([]byte, error) {
	if f.state != fieldSet {
		return []byte("null"), nil
	}
	return json.Marshal(f.value)
}

// Duration is a time span. The API counts them in seconds.
type Duration time.Duration

// String is the span as Go writes it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes seconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(d).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	s, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.Abs(s) > math.MaxInt64/float64(time.Second) {
		return fmt.Errorf("%s is not a number of seconds", b)
	}
	*d = Duration(math.Round(s * float64(time.Second)))
	return nil
}

// Header is one line of a request's or an answer's head.
type Header struct{ Name, Value string }

// Headers are lines in their order; in JSON an object, in which a name is there
// twice if it was sent twice.
type Headers []Header

// MarshalJSON writes an object.
func (h Headers) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, line := range h {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(line.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(line.Value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads an object.
func (h *Headers) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("headers are not an object: %w", err)
	}
	*h = Headers{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value string
		if err := dec.Decode(&value); err != nil {
			return err
		}
		*h = append(*h, Header{fmt.Sprint(name), value})
	}
	return nil
}
