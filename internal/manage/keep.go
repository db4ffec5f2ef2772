package manage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Keep is asked, while a change is being stored, for the request to remember
// with it: made is the record as it will be, secret what is told of it this
// once. If it fails, nothing is changed.
type Keep[T any] func(made *T, secret hook.Secret) (*store.Request, error)

// join lets a change remember its request.
func (k Keep[T]) join(c *store.Change, made *T, secret hook.Secret) *store.Change {
	if k != nil {
		c.Complete = func() error {
			r, err := k(made, secret)
			if err != nil {
				return err
			}
			c.Requests = []*store.Request{r}
			return nil
		}
	}
	return c
}

// Request makes the record of a request that carried an Idempotency-Key and of
// what its caller is told. That may hold secrets, so it is sealed.
func (m *Manager) Request(key store.RequestKey, fingerprint [32]byte, answer []byte) (*store.Request, error) {
	sealed, err := m.Ring.Seal(hook.Secret(answer), "", recordOf(key))
	if err != nil {
		return nil, err
	}
	return &store.Request{RequestKey: key, At: now(), Fingerprint: fingerprint, Answer: []byte(sealed)}, nil
}

// recordOf names the record that an answer is sealed for.
func recordOf(key store.RequestKey) string { return "request/" + key.Scope + "/" + key.Key }

// Remember stores a request whose change, if any, is stored elsewhere.
func (m *Manager) Remember(ctx context.Context, r *store.Request) error {
	if _, err := m.Store.Configure(ctx, &store.Change{Requests: []*store.Request{r}}); err != nil {
		return storeError("remember a request", err)
	}
	return nil
}

// Remembered finds a request that was made within the window, with its answer as
// Request was given it; nil: there is none.
func (m *Manager) Remembered(ctx context.Context, key store.RequestKey, window time.Duration) (*store.Request, error) {
	r, err := m.Store.Remembered(ctx, key, now().Add(-window))
	if err != nil {
		return nil, storeError("look for an earlier request", err)
	}
	if r == nil {
		return nil, nil
	}
	answer, err := m.Ring.Open(hook.Sealed(r.Answer), "", recordOf(key))
	if err != nil {
		return nil, fmt.Errorf("read the answer of an earlier request: %w", err)
	}
	r.Answer = []byte(answer)
	return r, nil
}

// Taken reports whether a change was refused because its request is remembered
// already.
func Taken(err error) bool { return errors.Is(err, store.ErrKeyTaken) }
