package serve

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/store"
)

// case 17: below the reserve nothing is taken, and it goes on by itself when
// there is room again. The disk is asked once a second at most.
func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom("dir", 100)
		free, asked := int64(100), 0
		r.free = func(string) (int64, bool) { asked++; return free, true }
		if err := r.check(); err != nil {
			t.Error(err)
		}
		free = 99
		if err := r.check(); err != nil {
			t.Error("asked again within a second")
		}
		time.Sleep(roomEvery)
		for range 10 {
			if err := r.check(); !errors.Is(err, store.ErrFull) {
				t.Error(err)
			}
		}
		free = 100
		time.Sleep(roomEvery)
		if err := r.check(); err != nil || asked != 3 {
			t.Errorf("%v, asked %d times", err, asked)
		}
		r.free = func(string) (int64, bool) { return 0, false }
		time.Sleep(roomEvery)
		if err := r.check(); err != nil {
			t.Errorf("a disk that cannot tell: %v", err)
		}
	})
}
