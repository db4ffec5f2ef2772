package hook_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"grapnel/internal/hook"
)

func TestEventIDsAscendWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var last hook.EventID
		for _, at := range rapid.SliceOf(rapid.Int64Min(0)).Draw(t, "clock") { // case 31
			now := time.Unix(0, at)
			id := hook.NextEventID(last.Seq(), now, rapid.Uint64().Draw(t, "random"))
			if !last.IsZero() && (id.Seq() <= last.Seq() || id.String() <= last.String()) {
				t.Fatalf("%s does not follow %s", id, last)
			}
			if id.Time().Before(now.Truncate(time.Millisecond)) {
				t.Fatalf("id %s of %s says %s", id, now, id.Time())
			}
			if back := hook.EventIDFrom(id.Seq(), id.Tail()); back != id {
				t.Fatalf("%s became %s", id, back)
			}
			u, err := uuid.Parse(id.String())
			if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
				t.Fatalf("%s is not a UUIDv7: %v", id, err)
			}
			last = id
		}
	})
}

func TestFirstEventIDIsTheLowestOfItsTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	if first, next := hook.FirstEventID(now), hook.NextEventID(0, now, 0); first.Seq() != next.Seq() || !first.Time().Equal(now) {
		t.Errorf("first %s, next %s", first, next)
	}
	if hook.FirstEventID(time.Time{}).Seq() != 0 {
		t.Error("a time before 1970 has ids")
	}
}

func TestDeliveryKeysReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := hook.DeliveryKey{
			Event:    hook.EventIDFrom(rapid.Int64Range(0, 1<<60-1).Draw(t, "seq"), rapid.Uint64().Draw(t, "tail")),
			Endpoint: hook.EndpointNum(rapid.Int64Min(1).Draw(t, "endpoint")),
		}
		back, err := hook.ParseDeliveryKey(k.String())
		if err != nil || back != k {
			t.Fatalf("%s became %v: %v", k, back, err)
		}
	})
}

// One thing has one name: what is read is exactly what is written.
func FuzzIDsAreNotMalleable(f *testing.F) {
	id := hook.EventIDFrom(1<<50, 7)
	f.Add(id.String())
	f.Add(hook.DeliveryKey{Event: id, Endpoint: 300}.String())
	f.Add("01890A5D-AC96-774B-BCCE-B302099A8057")
	f.Add("dlv_0")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := hook.ParseEventID(s); err == nil && id.String() != s {
			t.Errorf("%q was read as %s", s, id)
		}
		if k, err := hook.ParseDeliveryKey(s); err == nil && k.String() != s {
			t.Errorf("%q was read as %s", s, k)
		}
	})
}
