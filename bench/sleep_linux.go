package bench

import (
	"syscall"
	"time"
)

// sleepUntil blocks the calling thread until t. The runtime's own timers round
// up to a millisecond when the process is idle, which would be a third of the
// latency that is to be measured.
func sleepUntil(t time.Time) {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		ts := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&ts, nil) // a signal ends it early: the loop goes on
	}
}
