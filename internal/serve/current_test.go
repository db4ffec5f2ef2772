package serve

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// elsewhere is a configuration that another server changes.
type elsewhere struct {
	store.Configurator
	mu     sync.Mutex
	now    store.Configuration
	answer func(ctx context.Context) error // before an answer; nil: at once
}

func (e *elsewhere) Configuration(ctx context.Context, _ int64) (*store.Configuration, error) {
	e.mu.Lock()
	answer := e.answer
	e.mu.Unlock()
	if answer != nil {
		if err := answer(ctx); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.now
	return &c, nil
}

func (e *elsewhere) revoke(key hook.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key.Deleted = true
	e.now = store.Configuration{Revision: e.now.Revision + 1, Keys: []*hook.Key{&key}}
}

// case 95, case 98: a key that another server revokes works for 5 s at most, whether the
// database says so, says nothing, or cannot be reached, and without any hint.
func TestRevokedElsewhereEndsInTime(t *testing.T) {
	t.Parallel()
	const text = "gk_revoked_elsewhere"
	key := hook.Key{ID: "key_1", Hash: sha256.Sum256([]byte(text)), Scopes: []hook.Scope{hook.ScopeManage}}
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, c := range map[string]struct {
		answer func(ctx context.Context) error // from the moment of the revocation on
		most   time.Duration
		want   hook.Code
	}{
		"the database answers": {nil, followEvery, hook.CodeUnauthorized},
		"it cannot be reached": {func(context.Context) error { return errors.New("no route") }, staleAfter, hook.CodeUnavailable},
		"it says nothing":      {hang, staleAfter, hook.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, into := range []time.Duration{0, time.Millisecond, followEvery / 2, followEvery - 1} {
				synctest.Test(t, func(t *testing.T) {
					e := &elsewhere{now: store.Configuration{Revision: 1, Keys: []*hook.Key{&key}}}
					d, err := directory.Load(t.Context(), e)
					if err != nil {
						t.Fatal(err)
					}
					s := &Server{current: newCurrent(d), logger: slog.New(slog.DiscardHandler)}
					ctx, stop := context.WithCancel(t.Context())
					followed := make(chan struct{})
					go func() { defer close(followed); s.followConfiguration(ctx) }()
					defer func() {
						stop()
						<-followed
						time.Sleep(lookLimit) // the last look, which nobody waits for
					}()
					a, err := auth.New(auth.Config{Keys: s.current, Current: s.current.known})
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute + into)
					if _, err := a.AuthenticateKey(text); err != nil {
						t.Fatalf("before: %v", err)
					}
					e.mu.Lock()
					e.answer = c.answer
					e.mu.Unlock()
					e.revoke(key)
					revoked := time.Now()
					for time.Since(revoked) < 2*staleAfter {
						time.Sleep(50 * time.Millisecond)
						_, err := a.AuthenticateKey(text)
						if err == nil && time.Since(revoked) > c.most {
							t.Fatalf("a revoked key works after %s", time.Since(revoked))
						}
						if err != nil && hook.CodeOf(err) != c.want {
							t.Fatalf("%s after: %v, want %s", time.Since(revoked), err, c.want)
						}
					}
				})
			}
		})
	}
}
