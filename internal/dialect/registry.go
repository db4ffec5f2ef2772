package dialect

import (
	"fmt"
	"maps"
	"slices"
)

// Registry holds dialects by name. It never changes.
type Registry struct{ dialects map[string]*Dialect }

// NewRegistry makes a registry. Two dialects of one name are an error.
func NewRegistry(dialects ...*Dialect) (*Registry, error) {
	r := &Registry{dialects: make(map[string]*Dialect, len(dialects))}
	for _, d := range dialects {
		if r.dialects[d.name] != nil {
			return nil, fmt.Errorf("there are two dialects of the name %s", d.name)
		}
		r.dialects[d.name] = d
	}
	return r, nil
}

// Get finds a dialect.
func (r *Registry) Get(name string) (*Dialect, bool) {
	d, ok := r.dialects[name]
	return d, ok
}

// Names are the dialects' names, sorted.
func (r *Registry) Names() []string { return slices.Sorted(maps.Keys(r.dialects)) }
