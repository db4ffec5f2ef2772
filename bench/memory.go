package bench

import (
	"context"
	"sync"
	"time"

	"grapnel/internal/child"
)

// sampler reads a process's memory again and again.
type sampler struct {
	stop    context.CancelFunc
	ended   sync.WaitGroup
	highest int64 // bytes
}

// sampleMemory begins to read a process's memory every so often.
func sampleMemory(ctx context.Context, pid int, every time.Duration) *sampler {
	ctx, stop := context.WithCancel(ctx)
	s := &sampler{stop: stop}
	s.ended.Go(func() {
		for ctx.Err() == nil {
			if rss, err := child.ReadMemory(pid); err == nil { // it may have ended
				s.highest = max(s.highest, rss)
			}
			pause(ctx, every)
		}
	})
	return s
}

// end stops it and returns the most memory that was seen, 0 where that cannot be
// read.
func (s *sampler) end() int64 {
	s.stop()
	s.ended.Wait()
	return s.highest
}
