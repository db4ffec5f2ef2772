package auth

import (
	"sync/atomic"
	"time"
)

// used notes that a key was used: one look-up, and one atomic store a second.
func (a *Authenticator) used(id string, now time.Time) {
	v, ok := a.uses.Load(id)
	if !ok {
		v, _ = a.uses.LoadOrStore(id, new(atomic.Int64))
	}
	if last, s := v.(*atomic.Int64), now.Unix(); last.Load() != s {
		last.Store(s)
	}
}

// LastUsed is when a key was last used since the Authenticator was made, to
// the second; zero: not yet.
func (a *Authenticator) LastUsed(id string) time.Time {
	if v, ok := a.uses.Load(id); ok {
		return time.Unix(v.(*atomic.Int64).Load(), 0).UTC()
	}
	return time.Time{}
}

// Uses is LastUsed of all keys that were used, by id.
func (a *Authenticator) Uses() map[string]time.Time {
	out := map[string]time.Time{}
	a.uses.Range(func(id, v any) bool {
		out[id.(string)] = time.Unix(v.(*atomic.Int64).Load(), 0).UTC()
		return true
	})
	return out
}
