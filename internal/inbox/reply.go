package inbox

import (
	"fmt"
	"time"
)

// maxDelay bounds how long a request can be kept open.
const maxDelay = 10 * time.Minute

// Reply says how an inbox answers. The zero value is 200 at once.
type Reply struct {
	Status     int     `json:"status"`      // 0: 200
	DelayMS    int     `json:"delay_ms"`    // before the answer, in milliseconds
	FailRate   float64 `json:"fail_rate"`   // share of requests, 0 to 1, that get FailStatus
	FailFirst  int     `json:"fail_first"`  // the next so many requests get FailStatus whatever the rate
	FailStatus int     `json:"fail_status"` // 0: 500
	RetryAfter int     `json:"retry_after"` // Retry-After in seconds, on answers that are not 2xx; 0: none
	Body       string  `json:"body"`
}

// Validate tells what is wrong with a reply.
func (r Reply) Validate() error {
	for name, status := range map[string]int{"status": r.Status, "fail_status": r.FailStatus} {
		if status != 0 && (status < 200 || status > 599) {
			return fmt.Errorf("%s %d is not between 200 and 599", name, status)
		}
	}
	if !(r.FailRate >= 0 && r.FailRate <= 1) {
		return fmt.Errorf("fail_rate %v is not between 0 and 1", r.FailRate)
	}
	if r.DelayMS < 0 || time.Duration(r.DelayMS)*time.Millisecond > maxDelay {
		return fmt.Errorf("delay_ms %d is not between 0 and %d", r.DelayMS, maxDelay.Milliseconds())
	}
	if r.FailFirst < 0 || r.RetryAfter < 0 {
		return fmt.Errorf("fail_first and retry_after cannot be negative")
	}
	return nil
}

// next takes the status of the next answer, and counts FailFirst down.
func (r *Reply) next(random func() float64) int {
	fail := r.FailFirst > 0
	if fail {
		r.FailFirst--
	} else {
		fail = r.FailRate > 0 && random() < r.FailRate
	}
	switch {
	case fail && r.FailStatus != 0:
		return r.FailStatus
	case fail:
		return 500
	case r.Status != 0:
		return r.Status
	}
	return 200
}
