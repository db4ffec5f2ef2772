package manage

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// How long earlier values are kept beyond the retention of the events that they
// shape, and how many of one kind a record has at most. They are in memory, and
// written with each change of the record: customers change their tenants and
// endpoints themselves, the rest is the operator's.
const (
	pastGrace      = 24 * time.Hour
	maxPast        = 1000
	maxPastBytes   = 256 << 10 // of one kind of a tenant's or an endpoint's
	maxPastOurs    = 16 << 20  // of one of the operator's records
	pastValueBytes = 64        // of an earlier value besides its texts
)

// pin lets the records of a change keep what they had before, where it shapes
// the bodies of events from then. The change is made of the revision base, so
// that it leads to the next one. It is refused where no more can be kept: else
// the bodies of events from then would be guessed.
func (m *Manager) pin(c *store.Change, base int64, now time.Time) error {
	m.settings.RLock()
	defer m.settings.RUnlock()
	k := keeper{m: m, base: base, now: now}
	for _, t := range c.Tenants {
		if old, ok := m.Directory.TenantByNum(t.Num); ok {
			t.PastAPIVersions = past(&k, "the API version of the tenant "+t.ID, maxPastBytes, old.PastAPIVersions, old.APIVersion, t.APIVersion, same[string], textSize[string])
			in := m.settings.tenant
			t.PastSettings = past(&k, "the settings of the tenant "+t.ID, maxPastBytes, old.PastSettings, in.of(old.Settings), in.of(t.Settings), maps.Equal, settingsSize)
		}
	}
	for _, e := range c.Endpoints {
		if old, ok := m.Directory.Endpoint(e.Num); ok {
			e.PastFields = past(&k, "the fields of the endpoint "+e.ID, maxPastBytes, old.PastFields, old.Fields, e.Fields, slices.Equal, fieldsSize)
			e.PastTransforms = past(&k, "the transformation of the endpoint "+e.ID, maxPastBytes, old.PastTransforms, old.Transform, e.Transform, same[string], textSize[string])
			in := m.settings.endpoint
			e.PastSettings = past(&k, "the settings of the endpoint "+e.ID, maxPastBytes, old.PastSettings, in.of(old.Settings), in.of(e.Settings), maps.Equal, settingsSize)
		}
	}
	for _, t := range c.Types {
		old, ok := m.Directory.TypeRecord(t.Name)
		if !ok {
			old = &hook.EventType{} // events of the type may be older than its record
		}
		t.PastVersions = past(&k, "the versions of the event type "+t.Name, maxPastOurs, old.PastVersions, old.Versions, t.Versions, slices.Equal, versionsSize)
		t.PastTransforms = past(&k, "the transformation of the event type "+t.Name, maxPastOurs, old.PastTransforms, old.Transform, t.Transform, same[string], textSize[string])
	}
	for _, p := range c.Pinned {
		if old := m.Directory.Pinned(p.Name); old != nil {
			p.Past = past(&k, p.Name, maxPastOurs, old.Past, old.Value, p.Value, bytes.Equal, textSize[[]byte])
		}
	}
	return k.err
}

// names are those of settings that bodies hold.
type names map[string]bool

// of are the settings with these names; nil if there are none.
func (n names) of(settings map[string]string) map[string]string {
	var out map[string]string
	for name, value := range settings {
		if n[name] {
			if out == nil {
				out = make(map[string]string, len(n))
			}
			out[name] = value
		}
	}
	return out
}

// PinSettings says that there are bodies of a dialect, be it of one that is not
// spoken any more: from now on tenants and endpoints keep what they had before
// of the settings in these. Those of Config.Dialects need not be named.
func (m *Manager) PinSettings(d *dialect.Dialect) {
	m.settings.Lock()
	defer m.settings.Unlock()
	in := d.BodySettings()
	for _, name := range in.Tenant {
		m.settings.tenant[name] = true
	}
	for _, name := range in.Endpoint {
		m.settings.endpoint[name] = true
	}
}

// keeper makes the earlier values of the records of one change.
type keeper struct {
	m    *Manager
	base int64
	now  time.Time
	err  error // the first refusal
}

// past are the earlier values of a record that are still needed, with the one
// that it has had until now if that changes. what names them to whoever makes
// the change.
func past[T any](k *keeper, what string, most int, kept []hook.Past[T], was, is T, same func(a, b T) bool, size func(T) int) []hook.Past[T] {
	changes := !same(was, is)
	if len(kept) == 0 && !changes {
		return nil
	}
	out := slices.Clone(kept)
	if changes {
		out = append(out, hook.Past[T]{Before: k.base + 1, At: k.now, Value: was})
	}
	if retention := k.m.Retention; retention > 0 {
		out = slices.DeleteFunc(out, func(p hook.Past[T]) bool { return k.now.Sub(p.At) > retention+pastGrace })
	}
	out = collapse(out, same)
	if changes {
		k.fits(what, most, len(out), sizeOf(out, size))
	}
	if len(out) == 0 {
		return nil
	}
	return slices.Clip(out)
}

// fits refuses a change that would leave more than may be kept.
func (k *keeper) fits(what string, most, n, bytes int) {
	if k.err != nil || n <= maxPast && bytes <= most {
		return
	}
	until := "for as long as there are events from then, which this server keeps for ever"
	if k.m.Retention > 0 {
		until = "until there are no events from then, " + (k.m.Retention + pastGrace).String() + " after each change"
	}
	k.err = hook.Errorf(hook.CodeConflict, "%s changed too often: the last %d values (%d bytes) are kept %s, and no more than %d values or %d bytes can be. Wait, or set up another one",
		what, n-1, bytes, until, maxPast, most)
}

// collapse leaves out what says no more than the value behind it.
func collapse[T any](all []hook.Past[T], same func(a, b T) bool) []hook.Past[T] {
	out := all[:0]
	for i := range all {
		if i+1 < len(all) && same(all[i].Value, all[i+1].Value) {
			continue
		}
		out = append(out, all[i])
	}
	clear(all[len(out):])
	return out
}

func sizeOf[T any](all []hook.Past[T], size func(T) int) int {
	n := 0
	for i := range all {
		n += pastValueBytes + size(all[i].Value)
	}
	return n
}

func same[T comparable](a, b T) bool { return a == b }

func textSize[T string | []byte](text T) int { return len(text) }

// headBytes is what a text takes in memory besides its bytes.
const headBytes = 16

func fieldsSize(fields []string) int {
	n := 0
	for _, f := range fields {
		n += headBytes + len(f)
	}
	return n
}

func settingsSize(settings map[string]string) int {
	n := 0
	for name, value := range settings {
		n += 2*headBytes + len(name) + len(value)
	}
	return n
}

func versionsSize(versions []hook.TypeVersion) int {
	n := 0
	for _, v := range versions {
		n += 2*headBytes + len(v.Version) + len(v.Convert)
	}
	return n
}

// Pin stores what shapes bodies besides the records, by name, as the server has
// it from now on.
func (m *Manager) Pin(ctx context.Context, values map[string][]byte) error {
	return m.commit(ctx, "pin what bodies are made with", func(time.Time) (*store.Change, error) {
		c := &store.Change{}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if old := m.Directory.Pinned(name); old == nil || !bytes.Equal(old.Value, values[name]) {
				c.Pinned = append(c.Pinned, &hook.Pinned{Name: name, Value: values[name]})
			}
		}
		if len(c.Pinned) == 0 {
			return nil, nil
		}
		return c, nil
	})
}
