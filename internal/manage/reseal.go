package manage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// Resealing changes the key that everything in a store is sealed with. It works
// beside servers that have the store open, and what one that was cut short has
// done stays done: the next one does the rest.
type Resealing struct {
	Store     store.Configurator
	Directory *directory.Directory // of the same store
	Ring      *keyring.Ring        // its first key seals, the others open
	Now       func() time.Time
	// Progress is told how many secrets are sealed anew so far. Nil: nobody is.
	Progress func(secrets int)
}

// ErrStillOlder: something could not be sealed anew, so that the older keys are
// still needed.
var ErrStillOlder = errors.New("not everything could be sealed with the first key")

// Count says how many secrets each key has sealed, by the keys' ids, as SealedBy
// does.
func (r *Resealing) Count() map[string]int {
	by := map[string]int{}
	if p := r.Directory.Pinned(hook.PinnedKey); p != nil {
		countSealed(by, hook.Sealed(p.Value))
	}
	for _, id := range r.Directory.TenantIDs() {
		if t, endpoints, ok := r.Directory.TenantWithEndpoints(id); ok {
			countTenant(by, t)
			for _, e := range endpoints {
				countEndpoint(by, e, r.Now())
			}
		}
	}
	return by
}

// SealedBy says how many secrets of a configuration each key has sealed, by the
// keys' ids. What is deleted is not counted, nor are secrets of endpoints whose
// overlap is over: nothing needs them.
func SealedBy(c *store.Configuration, now time.Time) map[string]int {
	by := map[string]int{}
	for _, p := range c.Pinned {
		if p.Name == hook.PinnedKey {
			countSealed(by, hook.Sealed(p.Value))
		}
	}
	for _, t := range c.Tenants {
		countTenant(by, t)
	}
	for _, e := range c.Endpoints {
		countEndpoint(by, e, now)
	}
	return by
}

func countSealed(by map[string]int, s hook.Sealed) {
	if s != "" {
		by[keyring.KeyIDOf(s)]++
	}
}

func countTenant(by map[string]int, t *hook.Tenant) {
	if t.Deleted {
		return
	}
	for _, s := range t.Secrets {
		countSealed(by, s)
	}
}

func countEndpoint(by map[string]int, e *hook.Endpoint, now time.Time) {
	if e.Deleted {
		return
	}
	for _, h := range e.Headers {
		countSealed(by, h.Sealed)
	}
	for _, s := range keyring.SealedOf(e) {
		countSealed(by, s)
	}
	for _, s := range e.Secrets {
		if signs(s, now) {
			countSealed(by, s.Sealed)
		}
	}
}

// Run seals anew, a few thousand records a change, and goes through all again
// until there is nothing to do: a server that does not have the new key first yet
// may have sealed something meanwhile. It returns how many secrets it sealed anew.
// ErrStillOlder is joined with why each of some could not be; the rest is done.
func (r *Resealing) Run(ctx context.Context) (resealed int, err error) {
	for {
		var bad []error
		n, err := r.sample(ctx)
		for left := r.Directory.TenantIDs(); err == nil && len(left) > 0; {
			var some int
			if some, left, bad, err = r.some(ctx, left, bad); err == nil {
				n += some
				if r.Progress != nil {
					r.Progress(resealed + n)
				}
			}
		}
		resealed += n
		switch {
		case err != nil:
			return resealed, err
		case n == 0 && len(bad) > 0:
			return resealed, errors.Join(append([]error{fmt.Errorf("%w: %d of them", ErrStillOlder, len(bad))}, bad[:min(len(bad), maxTold)]...)...)
		case n == 0:
			return resealed, nil
		}
	}
}

// maxTold is how many secrets that cannot be opened are told of one by one.
const maxTold = 10

// sample seals what servers know the key by.
func (r *Resealing) sample(ctx context.Context) (n int, err error) {
	err = r.configure(ctx, func() (*store.Change, error) {
		n = 0
		p := r.Directory.Pinned(hook.PinnedKey)
		if p == nil || r.Ring.SealedFirst(hook.Sealed(p.Value)) {
			return nil, nil
		}
		sealed, err := r.Ring.Reseal(hook.Sealed(p.Value), "", keySampleRecord)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", keyring.ErrOtherKey, err)
		}
		n = 1
		return &store.Change{Pinned: []*hook.Pinned{{Name: hook.PinnedKey, Value: []byte(sealed)}}}, nil
	})
	return n, err
}

// some seals anew what the first ones of these tenants have, in one change, and
// says which tenants are left.
func (r *Resealing) some(ctx context.Context, ids []string, before []error) (n int, left []string, bad []error, err error) {
	err = r.configure(ctx, func() (*store.Change, error) {
		var c store.Change
		n, bad = 0, before
		for left = ids; len(left) > 0 && len(c.Tenants)+len(c.Endpoints) < completedAtOnce; left = left[1:] {
			t, endpoints, ok := r.Directory.TenantWithEndpoints(left[0])
			if !ok {
				continue
			}
			changed, done, errs := r.tenant(t)
			if n, bad = n+done, append(bad, errs...); done > 0 {
				c.Tenants = append(c.Tenants, changed)
			}
			for _, e := range endpoints {
				changed, done, errs := r.endpoint(e)
				if n, bad = n+done, append(bad, errs...); done > 0 {
					c.Endpoints = append(c.Endpoints, changed)
				}
			}
		}
		if n == 0 {
			return nil, nil
		}
		return &c, nil
	})
	return n, left, bad, err
}

// configure stores a change that is made of the directory, and makes it again
// where others were faster. Nothing that shapes bodies changes, so nothing is
// kept of what was.
func (r *Resealing) configure(ctx context.Context, build func() (*store.Change, error)) error {
	for range maxTries {
		base := r.Directory.Revision()
		c, err := build()
		if err != nil || c == nil {
			return err
		}
		c.Base = base
		if _, err = r.Store.Configure(ctx, c); err != nil && !errors.Is(err, store.ErrStale) {
			return fmt.Errorf("seal secrets anew: %w", err)
		}
		stale := err != nil
		if err := r.Directory.Refresh(ctx); err != nil {
			return fmt.Errorf("seal secrets anew: %w", err)
		}
		if !stale {
			return nil
		}
	}
	return hook.Errorf(hook.CodeUnavailable, "others keep changing the configuration: try again, and it goes on where it was")
}

// tenant is a tenant with its secrets sealed anew, and how many were.
func (r *Resealing) tenant(old *hook.Tenant) (t *hook.Tenant, n int, bad []error) {
	changed := *old
	changed.Secrets = maps.Clone(old.Secrets)
	for family, s := range old.Secrets {
		if r.Ring.SealedFirst(s) {
			continue
		}
		sealed, err := r.Ring.Reseal(s, old.ID, tenantRecord(family))
		if err != nil {
			bad = append(bad, fmt.Errorf("tenant %s: %w", old.ID, err))
			continue
		}
		changed.Secrets[family] = sealed
		n++
	}
	return &changed, n, bad
}

// endpoint is an endpoint with what it has sealed anew, and how much that is.
func (r *Resealing) endpoint(old *hook.Endpoint) (e *hook.Endpoint, n int, bad []error) {
	changed := *old
	changed.Secrets = append([]hook.EndpointSecret(nil), old.Secrets...)
	for i, s := range old.Secrets {
		if r.Ring.SealedFirst(s.Sealed) || !signs(s, r.Now()) {
			continue
		}
		sealed, err := r.Ring.Reseal(s.Sealed, old.Tenant, old.ID)
		if err != nil {
			bad = append(bad, fmt.Errorf("tenant %s: %w", old.Tenant, err))
			continue
		}
		changed.Secrets[i].Sealed = sealed
		n++
	}
	auth, tls, more, err := r.Ring.ResealAuth(old)
	if err != nil {
		bad = append(bad, fmt.Errorf("tenant %s: %w", old.Tenant, err))
	}
	changed.Auth, changed.TLS = auth, tls
	n += more
	headers, err := r.Ring.ResealHeaders(old.Headers, old.Tenant, old.ID)
	if err != nil {
		return &changed, n, append(bad, fmt.Errorf("tenant %s: %w", old.Tenant, err))
	}
	for i := range headers {
		if headers[i].Sealed != old.Headers[i].Sealed {
			n++
		}
	}
	changed.Headers = headers
	return &changed, n, bad
}

// signs reports whether a secret's overlap is not over.
func signs(s hook.EndpointSecret, now time.Time) bool {
	return s.ExpiresAt.IsZero() || s.ExpiresAt.After(now)
}
