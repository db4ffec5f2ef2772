package manage

import (
	"context"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// CodePrecondition marks a change that its caller wanted to be made of
// another state than the present one.
const CodePrecondition hook.Code = "precondition_failed"

// Terms are what a caller attaches to the change of a record.
type Terms[T any] struct {
	// Allow, if set, is shown the record that the change would be made of, nil
	// where there is none. An error refuses the change. Nobody can change the
	// record between this and the change: of two callers who allow only the same
	// state, one is refused.
	Allow func(current *T) error
	// DryRun checks everything and stores nothing.
	DryRun bool
}

func (t *Terms[T]) check(current *T) error {
	if t.Allow == nil {
		return nil
	}
	return t.Allow(current)
}

// commitOr makes a change, or if dry, only finds out whether it could be made.
func (m *Manager) commitOr(ctx context.Context, dry bool, what string, build func(now time.Time) (*store.Change, error)) error {
	if !dry {
		return m.commit(ctx, what, build)
	}
	m.change.Lock()
	defer m.change.Unlock()
	_, err := build(now())
	return err
}

// touched is when a record that was last changed at old is changed now. It is
// always later, so that each version of a record has a time of its own.
func touched(old, now time.Time) time.Time {
	if now.After(old) {
		return now
	}
	return old.Add(time.Millisecond)
}
