package serve

import (
	"fmt"
	"slices"

	"grapnel/internal/filter"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
)

// checkFilter refuses a condition tree that ingest could not evaluate.
func checkFilter(tree []byte) error {
	_, err := filter.Parse(tree)
	return err
}

// covered refuses a keyring that lacks what sealed something that is needed. Only
// if it lacks the key of anything at all is all looked through.
func (s *Server) covered(ring *keyring.Ring) error {
	err := ring.Covers(slices.Values(s.directory.Sealed()))
	if err != nil {
		err = ring.Covers(s.sealed)
	}
	if err != nil {
		return fmt.Errorf("open the stored secrets: %w", err)
	}
	return nil
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
			for _, secret := range keyring.SealedOf(e) {
				if !yield(secret) {
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
