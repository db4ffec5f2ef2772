package crash

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// stalls notes when this process did not get a processor for a while, or the database
// did not commit the least of things in one: nodes on the same machine were not better
// off.
type stalls struct {
	most    time.Duration // shorter ones are not noted
	stop    context.CancelFunc
	running sync.WaitGroup

	mu  sync.Mutex
	all []stall
}

type stall struct{ from, to time.Time }

// looks is how often is looked in the time of the shortest stall.
const looks = 10

// watchStalls begins to note.
func watchStalls(ctx context.Context, most time.Duration, audit *audit) *stalls {
	s := &stalls{most: most}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Go(func() { s.watch(ctx, func() bool { return true }) })
	s.running.Go(func() {
		for ctx.Err() == nil { // each connection lasts as long as the server does
			_ = audit.with(ctx, func(c *pgx.Conn) error {
				s.watch(ctx, func() bool {
					_, err := c.Exec(ctx, `UPDATE audit.pulse SET n = n + 1`)
					return err == nil
				})
				return nil
			})
			sleep(ctx, nil, s.most/looks)
		}
	})
	return s
}

// end ends that.
func (s *stalls) end() {
	s.stop()
	s.running.Wait()
}

// watch does something again and again, until it fails, and notes when there was much
// time between.
func (s *stalls) watch(ctx context.Context, do func() bool) {
	for last := time.Now(); sleep(ctx, nil, s.most/looks) && do(); {
		now := time.Now()
		if now.Sub(last) > s.most {
			s.mu.Lock()
			s.all = append(s.all, stall{last, now})
			s.mu.Unlock()
		}
		last = now
	}
}

// between reports whether there was one in a span of time.
func (s *stalls) between(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		if x.from.Before(to) && x.to.After(from) {
			return true
		}
	}
	return false
}
