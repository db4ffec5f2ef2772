package serve

import (
	"maps"
	"slices"
)

// OpenPaths are those that the listeners answer without a key, beside the API's.
func (s *Server) OpenPaths() (outside, inside []string) {
	outside = slices.Sorted(maps.Keys(s.openOutside(nil)))
	if s.adminListener != nil {
		inside = slices.Sorted(maps.Keys(s.openInside(nil)))
	}
	return outside, inside
}
