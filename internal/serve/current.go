package serve

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// What other servers configure is found by looking for it. followEvery is how often
// that is done unasked; staleAfter is how old the last look may be for keys to be
// believed: one that was revoked elsewhere works no longer than that (case 95).
const (
	followEvery = 500 * time.Millisecond
	staleAfter  = 5 * time.Second
	lookLimit   = 2 * time.Second // how long one may take
)

// current keeps the configuration as it is in a store that other servers change, too.
type current struct {
	directory *directory.Directory

	mu     sync.Mutex
	looked time.Time // when the last look that succeeded began
	failed bool      // the last look did not
	next   *look     // that has not begun; nil: there is none
	asking sync.Mutex
	hinted chan struct{} // something may have changed
}

// look is one look that those share who came before it began.
type look struct {
	done chan struct{}
	err  error
}

func newCurrent(d *directory.Directory) *current {
	return &current{directory: d, looked: time.Now(), hinted: make(chan struct{}, 1)}
}

// refresh takes over what is stored by the time of the call. However many call it,
// there is one look at a time, and one that waits.
func (c *current) refresh(ctx context.Context) error {
	c.mu.Lock()
	mine := c.next
	if mine == nil {
		mine = &look{done: make(chan struct{})}
		c.next = mine
		go c.look(mine)
	}
	c.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// look is made when the one before is over.
func (c *current) look(l *look) {
	c.asking.Lock()
	defer c.asking.Unlock()
	defer close(l.done)
	c.mu.Lock()
	c.next = nil
	c.mu.Unlock()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), lookLimit)
	defer cancel()
	l.err = c.directory.Refresh(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed = l.err != nil; !c.failed {
		c.looked = begun
	}
}

// hint has the follower look at once.
func (c *current) hint() {
	select {
	case c.hinted <- struct{}{}:
	default: // it will
	}
}

// ask is refresh for somebody who waits: while the store does not answer, nobody
// waits for it, and what is known has to do, as long as it is not too old.
func (c *current) ask(ctx context.Context) (asked bool) {
	c.mu.Lock()
	failed := c.failed
	c.mu.Unlock()
	return !failed && c.refresh(ctx) == nil
}

// Key finds a live key, also one that another server has just made.
func (c *current) Key(hash [32]byte) (*hook.Key, bool) {
	k, ok := c.directory.Key(hash)
	if !ok && c.ask(context.Background()) {
		k, ok = c.directory.Key(hash)
	}
	return k, ok
}

// known is an error when too long ago somebody could look.
func (c *current) known() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > staleAfter {
		return store.ErrUnavailable
	}
	return nil
}

// ahead has requests see what was configured before them through any server. Those
// that publish do not wait for that: whether they were matched with the configuration
// of the moment is checked where they are stored. Only if their tenant is not known,
// it may be new.
func (c *current) ahead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tenant, publishes := publishing(r); !publishes || tenant != "" && !c.has(tenant) {
			c.ask(r.Context())
		}
		next.ServeHTTP(w, r)
	})
}

// catchUp is ask for what need not know whether it could.
func (c *current) catchUp(ctx context.Context) { c.ask(ctx) }

func (c *current) has(tenant string) bool {
	_, ok := c.directory.Tenant(tenant)
	return ok
}

// publishing tells of a request that publishes the tenant in its path; "" where that
// is not in it.
func publishing(r *http.Request) (tenant string, ok bool) {
	if r.Method != http.MethodPost {
		return "", false
	}
	if r.URL.Path == "/v1/events" {
		return "", true
	}
	rest, is := strings.CutPrefix(r.URL.Path, "/v1/tenants/")
	if !is {
		return "", false
	}
	return strings.CutSuffix(rest, "/events")
}

// followConfiguration takes over what other servers configure, until ctx ends.
func (s *Server) followConfiguration(ctx context.Context) {
	if s.current == nil {
		return
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for behind := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.current.hinted:
		}
		err := s.current.refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !behind:
			s.logger.Error("what other servers have configured cannot be read; trying again", "error", err)
		case err == nil && behind:
			s.logger.Info("what other servers have configured is read again")
		}
		behind = err != nil
	}
}
