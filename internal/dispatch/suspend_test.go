package dispatch

import (
	"sync"
	"testing"
	"time"

	"grapnel/internal/store"
)

// case 27: a machine that was suspended wakes with a monotonic clock that has not moved. The
// wall clock tells that the lease is over.
func TestSuspendedMachineHoldsNothing(t *testing.T) {
	t.Parallel()
	var l tenure
	begin := time.Now()
	l.begin(store.Lease{Expires: begin.Add(10 * time.Second)}, new(sync.Mutex))
	if l.over(begin.Add(9 * time.Second)) {
		t.Error("over before its end")
	}
	for name, now := range map[string]time.Time{
		"both clocks went on":     begin.Add(10 * time.Second),
		"the wall clock alone":    time.Unix(0, begin.UnixNano()+int64(10*time.Second)),
		"the wall clock, by much": time.Unix(0, begin.UnixNano()+int64(time.Hour)),
	} {
		if !l.over(now) {
			t.Errorf("%s: still held", name)
		}
	}
	l.extend(time.Time{})
	if !l.over(begin.Add(time.Second)) {
		t.Error("held, though nothing is")
	}
}
