package manage

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/store"
)

// What is sealed so that the key is known again, and its record. It is nobody's
// secret: no tenant's id is empty.
const (
	keySample       = "grapnel"
	keySampleRecord = "secret_key"
)

// EnsureKey refuses a ring that cannot open what servers with the same store seal
// (keyring.ErrOtherKey), before there is any secret. The first start leaves something
// to open; of two with different keys, the one that the store hears first counts. A
// ring whose first key is another one, which opens it all the same, seals it anew: from
// then on others need that key.
func (m *Manager) EnsureKey(ctx context.Context) error {
	return m.commit(ctx, "keep a sample of the secret key's work", func(time.Time) (*store.Change, error) {
		if p := m.Directory.Pinned(hook.PinnedKey); p != nil {
			sample := hook.Sealed(p.Value)
			if _, err := m.Ring.Open(sample, "", keySampleRecord); err != nil {
				return nil, fmt.Errorf("%w: servers with this database seal with %s, and %s has only %s: give all of them the same keys",
					keyring.ErrOtherKey, keyring.KeyIDOf(sample), m.Ring.Origin(), list(m.Ring.KeyIDs()))
			}
			if keyring.KeyIDOf(sample) == m.Ring.KeyIDs()[0] {
				return nil, nil
			}
		}
		sample, err := m.Ring.Seal(keySample, "", keySampleRecord)
		if err != nil {
			return nil, err
		}
		return &store.Change{Pinned: []*hook.Pinned{{Name: hook.PinnedKey, Value: []byte(sample)}}}, nil
	})
}
