package auth

import (
	"sync"
	"sync/atomic"
	"time"
)

// uses is when keys were last used, by id: Unix seconds.
type uses struct {
	mu sync.RWMutex
	at map[string]*atomic.Int64
}

// note costs a look-up, and one atomic store a second.
func (u *uses) note(id string, now time.Time) {
	u.mu.RLock()
	at := u.at[id]
	u.mu.RUnlock()
	if at == nil {
		at = u.first(id, now)
	}
	if s := now.Unix(); at.Load() != s {
		at.Store(s)
	}
}

func (u *uses) first(id string, now time.Time) *atomic.Int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at == nil {
		u.at = map[string]*atomic.Int64{}
	}
	if u.at[id] == nil {
		u.at[id] = new(atomic.Int64)
		u.at[id].Store(now.Unix())
	}
	return u.at[id]
}

// LastUsed is when a key was last used since the Authenticator was made, to
// the second; zero: not yet.
func (a *Authenticator) LastUsed(id string) time.Time {
	a.uses.mu.RLock()
	defer a.uses.mu.RUnlock()
	if at := a.uses.at[id]; at != nil {
		return time.Unix(at.Load(), 0).UTC()
	}
	return time.Time{}
}

// Uses is LastUsed of all keys that were used, by id.
func (a *Authenticator) Uses() map[string]time.Time {
	a.uses.mu.RLock()
	defer a.uses.mu.RUnlock()
	out := make(map[string]time.Time, len(a.uses.at))
	for id, at := range a.uses.at {
		out[id] = time.Unix(at.Load(), 0).UTC()
	}
	return out
}
