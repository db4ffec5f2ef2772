package serve

import (
	"fmt"
	"sync"
	"time"

	"grapnel/internal/config"
	"grapnel/internal/disk"
	"grapnel/internal/ingest"
	"grapnel/internal/store"
)

// roomEvery is how often the disk is asked at most how much room it has.
const roomEvery = time.Second

// room says whether the disk has room for more events. What is kept free of
// them is for the outcomes of those that were taken, and for upkeep.
type room struct {
	dir   string
	least int64 // bytes to keep free; 0: none
	free  func(dir string) (bytes int64, ok bool)

	mu   sync.Mutex
	next time.Time // when to look again
	err  error
}

func newRoom(dir string, least config.Size) *room {
	return &room{dir: dir, least: int64(least), free: disk.Free}
}

// check is an error of the kind of store.ErrFull while less is free than must
// be. Where that cannot be told there is room.
func (r *room) check() error {
	if r.least <= 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Before(r.next) {
		return r.err
	}
	r.next, r.err = now.Add(roomEvery), nil
	if free, ok := r.free(r.dir); ok && free < r.least {
		r.err = fmt.Errorf("%w: %d bytes are free, and --min-free keeps %d for what was taken before", store.ErrFull, free, r.least)
	}
	return r.err
}

// limits are those of the settings on what is taken.
func (s *Server) limits() ingest.Limits {
	out := ingest.Limits{Pending: int64(s.settings.TenantPending), AllPending: int64(s.settings.MaxPending)}
	if r := s.settings.TenantRate; r.N > 0 && r.Per > 0 {
		out.Events = float64(r.N) / r.Per.Seconds()
	}
	return out
}
