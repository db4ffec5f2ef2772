package egress

import (
	"sync"

	"grapnel/internal/hook"
)

// maxTargets bounds the URLs that are remembered: a few megabytes at most.
const maxTargets = 4096

// targets remembers parsed URLs, for an endpoint's is the same on each
// attempt. A target does not change and holds no secret of a tenant's but its
// URL, which is its key. The zero value is ready.
type targets struct {
	mu    sync.RWMutex
	byURL map[string]*target
}

func (s *targets) get(raw string) (*target, *hook.Error) {
	s.mu.RLock()
	t := s.byURL[raw]
	s.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	t, err := parseTarget(raw)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byURL == nil || len(s.byURL) >= maxTargets {
		s.byURL = make(map[string]*target)
	}
	s.byURL[raw] = t
	return t, nil
}
