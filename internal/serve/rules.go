package serve

import (
	"grapnel/internal/filter"
	"grapnel/internal/hook"
)

// checkFilter refuses a condition tree that ingest could not evaluate.
func checkFilter(tree []byte) error {
	_, err := filter.Parse(tree)
	return err
}

// sealed goes through all sealed secrets that still sign, those of tenants and
// of endpoints, and the sealed values of headers.
func (s *Server) sealed(yield func(hook.Sealed) bool) {
	now := s.now()
	for _, t := range s.directory.Tenants() {
		for _, secret := range t.Secrets {
			if !yield(secret) {
				return
			}
		}
		for _, e := range s.directory.Endpoints(t.ID) {
			for _, h := range e.Headers {
				if h.Sealed != "" && !yield(h.Sealed) {
					return
				}
			}
			for _, secret := range e.Secrets {
				if (secret.ExpiresAt.IsZero() || secret.ExpiresAt.After(now)) && !yield(secret.Sealed) {
					return
				}
			}
		}
	}
}
