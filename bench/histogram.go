package bench

import (
	"encoding/json"
	"math/bits"
	"strconv"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets whose width is at most 1/64 of their
// value, so that a quantile is right to 1.6 %. Its size does not depend on how
// many are counted. All methods may be called at once.
type histogram struct {
	counts [buckets]atomic.Int64
	peak   atomic.Int64 // the greatest, in ns, exact
}

const (
	subBits = 6 // 64 buckets for each power of two
	buckets = (41 - subBits) << subBits
)

func bucketOf(ns int64) int {
	ns = max(ns, 0)
	shift := max(bits.Len64(uint64(ns))-subBits-1, 0)
	return min(shift<<subBits+int(ns>>shift), buckets-1)
}

// middle is the duration in the middle of a bucket.
func middle(bucket int) time.Duration {
	shift := max(bucket>>subBits-1, 0)
	low := int64(bucket-shift<<subBits) << shift
	return time.Duration(low + int64(1)<<shift/2)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(int64(d))].Add(1)
	for {
		old := h.peak.Load()
		if int64(d) <= old || h.peak.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (h *histogram) merge(o *histogram) {
	for i := range o.counts {
		if n := o.counts[i].Load(); n > 0 {
			h.counts[i].Add(n)
		}
	}
	h.peak.Store(max(h.peak.Load(), o.peak.Load()))
}

func (h *histogram) count() (n int64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// quantile is the duration that a share q of all does not exceed; zero for an
// empty histogram.
func (h *histogram) quantile(q float64) time.Duration {
	total := h.count()
	if total == 0 {
		return 0
	}
	rank := int64(q*float64(total-1)) + 1
	for i := range h.counts {
		if rank -= h.counts[i].Load(); rank <= 0 {
			return min(middle(i), time.Duration(h.peak.Load()))
		}
	}
	return time.Duration(h.peak.Load())
}

type histogramJSON struct {
	Peak   int64            `json:"peak"`
	Counts map[string]int64 `json:"counts"` // by bucket
}

// MarshalJSON writes the buckets that are not empty.
func (h *histogram) MarshalJSON() ([]byte, error) {
	out := histogramJSON{Peak: h.peak.Load(), Counts: map[string]int64{}}
	for i := range h.counts {
		if n := h.counts[i].Load(); n > 0 {
			out.Counts[strconv.Itoa(i)] = n
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *histogram) UnmarshalJSON(b []byte) error {
	var in histogramJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	h.peak.Store(in.Peak)
	for name, n := range in.Counts {
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= buckets {
			return &json.UnmarshalTypeError{Value: "bucket " + name}
		}
		h.counts[i].Store(n)
	}
	return nil
}
