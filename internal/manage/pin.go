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
// shape, and how many of one kind a record has at most.
const (
	pastGrace = 24 * time.Hour
	maxPast   = 1000
)

// pin lets the records of a change keep what they had before, where it shapes
// the bodies of events from then. The change is made of the revision base, so
// that it leads to the next one.
func (m *Manager) pin(c *store.Change, base int64, now time.Time) {
	for _, t := range c.Tenants {
		if old, ok := m.Directory.TenantByNum(t.Num); ok {
			t.PastAPIVersions = past(m, old.PastAPIVersions, old.APIVersion, old.APIVersion != t.APIVersion, base, now)
			was := m.settings.tenant.of(old.Settings)
			t.PastSettings = past(m, old.PastSettings, was, !maps.Equal(was, m.settings.tenant.of(t.Settings)), base, now)
		}
	}
	for _, e := range c.Endpoints {
		if old, ok := m.Directory.Endpoint(e.Num); ok {
			e.PastFields = past(m, old.PastFields, old.Fields, !slices.Equal(old.Fields, e.Fields), base, now)
			was := m.settings.endpoint.of(old.Settings)
			e.PastSettings = past(m, old.PastSettings, was, !maps.Equal(was, m.settings.endpoint.of(e.Settings)), base, now)
		}
	}
	for _, t := range c.Types {
		old, ok := m.Directory.TypeRecord(t.Name)
		if !ok {
			old = &hook.EventType{} // events of the type may be older than its record
		}
		t.PastVersions = past(m, old.PastVersions, old.Versions, !slices.Equal(old.Versions, t.Versions), base, now)
	}
	for _, p := range c.Pinned {
		if old := m.Directory.Pinned(p.Name); old != nil {
			p.Past = past(m, old.Past, old.Value, !bytes.Equal(old.Value, p.Value), base, now)
		}
	}
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
// of the settings in these. Those of Config.Dialects need not be named. It must
// not run beside anything else.
func (m *Manager) PinSettings(d *dialect.Dialect) {
	in := d.BodySettings()
	for _, name := range in.Tenant {
		m.settings.tenant[name] = true
	}
	for _, name := range in.Endpoint {
		m.settings.endpoint[name] = true
	}
}

// past are the earlier values of a record that are still needed, with the one
// that it has had until now if that changes.
func past[T any](m *Manager, kept []hook.Past[T], was T, changes bool, base int64, now time.Time) []hook.Past[T] {
	if len(kept) == 0 && !changes {
		return nil
	}
	out := slices.Clone(kept)
	if changes {
		out = append(out, hook.Past[T]{Before: base + 1, At: now, Value: was})
	}
	drop := max(0, len(out)-maxPast)
	for m.Retention > 0 && drop < len(out) && now.Sub(out[drop].At) > m.Retention+pastGrace {
		drop++
	}
	if drop == len(out) {
		return nil
	}
	return slices.Clip(out[drop:])
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
