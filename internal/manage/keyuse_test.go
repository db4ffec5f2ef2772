package manage_test

import (
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// A use is stored once a minute, and then it is there after a restart.
func TestNoteKeyUses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k, _, err := b.CreateKey(t.Context(), manage.KeyInput{Scopes: []hook.Scope{hook.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2026, 11, 1, 12, 0, 30, 0, time.UTC)
	revision := b.dir.Revision()
	for _, step := range []struct {
		after  time.Duration
		stored time.Duration
	}{{0, 0}, {59 * time.Second, 0}, {time.Minute, time.Minute}, {0, time.Minute}} {
		if err := b.NoteKeyUses(t.Context(), map[string]time.Time{k.ID: first.Add(step.after), "key_gone": first}); err != nil {
			t.Fatal(err)
		}
		now, _ := b.dir.KeyByID(k.ID)
		if !now.LastUsedAt.Equal(first.Add(step.stored)) || b.dir.Revision() != revision {
			t.Errorf("after %s: %v, revision %d, want %d", step.after, now.LastUsedAt, b.dir.Revision(), revision)
		}
	}
	now, _ := b.dir.KeyByID(k.ID)
	for since, want := range map[time.Time]time.Time{{}: first.Add(30 * time.Second), first.Add(time.Hour): first.Add(time.Hour - 30*time.Second)} {
		if got := manage.LastUsed(now, since); !got.Equal(want) {
			t.Errorf("used %v: %v, want %v", since, got, want)
		}
	}
	if !manage.LastUsed(k, time.Time{}).IsZero() {
		t.Error("a key that was never used has been")
	}
}
