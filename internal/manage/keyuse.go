package manage

import (
	"context"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// useEvery is how much later a use must be than the one that is stored, so that
// a key which is used all the time is stored once a minute.
const useEvery = time.Minute

// NoteKeyUses stores when keys were last used, by id, for those whose stored
// use is a minute older or more. Uses of keys that are gone are left out.
func (m *Manager) NoteKeyUses(ctx context.Context, uses map[string]time.Time) error {
	return m.commit(ctx, "note the last use of keys", func(time.Time) (*store.Change, error) {
		c := &store.Change{Note: true} // a use changes nothing that anybody plans by
		for _, k := range m.Directory.Keys() {
			at, ok := uses[k.ID]
			if !ok || at.Sub(k.LastUsedAt) < useEvery {
				continue
			}
			used := *k
			used.LastUsedAt = at
			c.Keys = append(c.Keys, &used)
		}
		if len(c.Keys) == 0 {
			return nil, nil
		}
		return c, nil
	})
}

// LastUsed is when a key was last used, to the minute: the later of what is
// stored and a use since then. It is no finer, so that a list of keys does not
// look changed by being read.
func LastUsed(k *hook.Key, since time.Time) time.Time {
	at := k.LastUsedAt
	if since.After(at) {
		at = since
	}
	return at.Truncate(time.Minute)
}
