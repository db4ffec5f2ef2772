package convert

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"grapnel/internal/hook"
)

// This file is what a Pool and its children say to each other: a request is a
// length and its bytes, an answer is bytes of its own kind. Numbers are
// big-endian.

const maxRequest = 1 << 30 // bytes; nonsense beyond

// What a request wants.
const (
	opCheck byte = 'c'
	opRun   byte = 'r'
)

// The kinds of what a child says.
const (
	sayReady  byte = 'R' // once, when it begins
	sayStep   byte = 's' // the next program begins; the first one is not told
	sayResult byte = 'o' // the result
	sayFailed byte = 'f' // a text: the program made a mistake
	sayWrong  byte = 'w' // a text: it is no program
	sayLate   byte = 'l' // nothing: the program took too long
	sayBusy   byte = 'b' // nothing: the machine had no time
)

// request is what a child is asked.
type request struct {
	number   uint64 // which the answer repeats
	op       byte
	limit    time.Duration // in time of the processors
	patience time.Duration // by the clock
	programs []string
	data     []byte
}

// encode writes a request with its length before it.
func (r *request) encode() []byte {
	size := 4 + 8 + 1 + 8 + 8 + 4 + len(r.data)
	for _, p := range r.programs {
		size += 4 + len(p)
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, size), uint32(size-4))
	b = binary.BigEndian.AppendUint64(b, r.number)
	b = append(b, r.op)
	b = binary.BigEndian.AppendUint64(b, uint64(r.limit))
	b = binary.BigEndian.AppendUint64(b, uint64(r.patience))
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.programs)))
	for _, p := range r.programs {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	return append(b, r.data...)
}

// errBusy says that a program came too late to its end because the processors
// had other things to do.
var errBusy = fmt.Errorf("%w: the machine has too much to do", ErrUnavailable)

// busy reports whether a program that took too long had hardly begun.
func busy(used, limit time.Duration) bool { return used < limit/4 }

var errNonsense = errors.New("nonsense")

// readRequest reads what encode wrote.
func readRequest(in io.Reader) (*request, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxRequest {
		return nil, errNonsense
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, err
	}
	return decodeRequest(b)
}

func decodeRequest(b []byte) (*request, error) {
	if len(b) < 29 {
		return nil, errNonsense
	}
	r := &request{
		number: binary.BigEndian.Uint64(b), op: b[8],
		limit: time.Duration(binary.BigEndian.Uint64(b[9:])), patience: time.Duration(binary.BigEndian.Uint64(b[17:])),
	}
	count := binary.BigEndian.Uint32(b[25:])
	b = b[29:]
	for range count {
		if len(b) < 4 {
			return nil, errNonsense
		}
		n := uint64(binary.BigEndian.Uint32(b))
		if b = b[4:]; n > uint64(len(b)) {
			return nil, errNonsense
		}
		r.programs, b = append(r.programs, string(b[:n])), b[n:]
	}
	r.data = b
	return r, nil
}

// answer makes an answer of what came out: kind, number, the processor time that
// the child has used so far, the step, a length and bytes.
func answer(number uint64, used time.Duration, out []byte, err error) []byte {
	kind := sayResult
	var step int
	if err != nil {
		kind, out = sayFailed, []byte(err.Error())
		var failed *StepError
		if errors.As(err, &failed) {
			step = failed.Step
		}
		switch {
		case hook.CodeOf(err) == hook.CodeInvalid:
			kind = sayWrong
		case errors.Is(err, errTooLong):
			kind, out = sayLate, nil
		case errors.Is(err, ErrUnavailable):
			kind, out = sayBusy, nil
		}
	}
	b := append(make([]byte, 0, 25+len(out)), kind)
	b = binary.BigEndian.AppendUint64(b, number)
	b = binary.BigEndian.AppendUint64(b, uint64(used))
	b = binary.BigEndian.AppendUint32(b, uint32(step))
	b = binary.BigEndian.AppendUint32(b, uint32(len(out)))
	return append(b, out...)
}

// readAnswer reads the answer to a request. step is the program that began last.
// used is the processor time that the child has used so far. An error that is no
// *StepError, and not errBusy, is errNonsense or that of in.
func readAnswer(in *bufio.Reader, r *request, used *time.Duration) (out []byte, step int, err error) {
	kind, err := in.ReadByte()
	for ; err == nil && kind == sayStep; kind, err = in.ReadByte() {
		if step++; step >= len(r.programs) {
			return nil, 0, errNonsense
		}
	}
	if err != nil {
		return nil, step, err
	}
	var head [24]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, step, err
	}
	failed, size := binary.BigEndian.Uint32(head[16:]), binary.BigEndian.Uint32(head[20:])
	if binary.BigEndian.Uint64(head[:]) != r.number || failed >= uint32(len(r.programs)) || size > MaxOutput {
		return nil, step, errNonsense
	}
	out = make([]byte, size)
	if _, err := io.ReadFull(in, out); err != nil {
		return nil, step, err
	}
	*used = time.Duration(binary.BigEndian.Uint64(head[8:]))
	switch kind {
	case sayBusy:
		return nil, step, errBusy
	case sayResult:
		return out, step, nil
	case sayLate:
		return nil, step, &StepError{Step: int(failed), Err: errTooLong}
	case sayFailed:
		return nil, step, &StepError{Step: int(failed), Err: errors.New(string(out))}
	case sayWrong:
		return nil, step, &StepError{Step: int(failed), Err: hook.Invalid("", "%s", out)}
	}
	return nil, step, fmt.Errorf("%w: an answer of the kind %q", errNonsense, kind)
}
