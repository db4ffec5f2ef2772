package dispatch

import (
	"bytes"
	"slices"
	"time"

	"grapnel/internal/hook"
)

// What of an endpoint's answers is kept, so that one which answers at length for
// ever does not fill the disk (case 113). Short answers are kept whole, and so are
// long ones within an allowance: keptAtOnce bytes, and keptMore more each keptEvery.
// Of a long answer beyond it only the beginning is kept.
const (
	keptBody   = 512
	keptHeader = 2 << 10
	keptAtOnce = 256 << 10
	keptMore   = 64 << 10
	keptEvery  = 10 * time.Minute
)

// perKeptByte is after how long the allowance has a byte more.
const perKeptByte = keptEvery / keptMore

// allowance is how much of an endpoint's long answers may be kept. Its zero value
// is a full one.
type allowance struct {
	full time.Time // when it will be full again
}

// spend takes bytes of the allowance, if it has as many.
func (a *allowance) spend(n int, now time.Time) bool {
	full := latest(a.full, now).Add(time.Duration(n) * perKeptByte)
	if full.Sub(now) > keptAtOnce*perKeptByte {
		return false
	}
	a.full = full
	return true
}

// allowances are those of lanes that have gone and that are not full again, so that
// coming and going does not fill them. They hold much less than the lanes did.
type allowances map[hook.EndpointNum]allowance

// glance is how many allowances are looked at for those that are full again, for
// each one that comes.
const glance = 4

func (s allowances) keep(num hook.EndpointNum, a allowance, now time.Time) {
	if !a.full.After(now) {
		return
	}
	looked := 0
	for other, a := range s {
		if !a.full.After(now) {
			delete(s, other)
		}
		if looked++; looked == glance {
			break
		}
	}
	s[num] = a
}

func (s allowances) take(num hook.EndpointNum) allowance {
	a := s[num]
	delete(s, num)
	return a
}

// excerpt leaves of an attempt's answer what may be kept of it.
func (l *lane) excerpt(a *hook.Attempt, now time.Time) {
	size := len(a.ResponseBody) + len(a.ResponseHeader)
	if len(a.ResponseBody) <= keptBody && len(a.ResponseHeader) <= keptHeader || l.allowance.spend(size, now) {
		return
	}
	if len(a.ResponseBody) > keptBody {
		a.ResponseBody, a.Truncated = slices.Clone(a.ResponseBody[:keptBody]), true
	}
	if len(a.ResponseHeader) > keptHeader {
		lines := a.ResponseHeader[:keptHeader]
		a.ResponseHeader = slices.Clone(lines[:bytes.LastIndexByte(lines, '\n')+1])
	}
	a.Omitted = size - len(a.ResponseBody) - len(a.ResponseHeader)
}
