package serve

import (
	"fmt"
	"time"

	"grapnel/internal/config"
	"grapnel/internal/dialect"
	"grapnel/internal/filter"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

// checkFilter refuses a condition tree that ingest could not evaluate.
func checkFilter(tree []byte) error {
	_, err := filter.Parse(tree)
	return err
}

// policies tells ingest what it has to know of the dialects.
func policies(dialects *dialect.Registry) func(string) ingest.Policy {
	return func(name string) ingest.Policy {
		d, ok := dialects.Get(name)
		return ingest.Policy{CancelInactive: ok && d.OnInactive() == dialect.Cancel}
	}
}

// checkRetention refuses to forget events that are still being retried.
func (s *Server) checkRetention(dialects *dialect.Registry) error {
	for _, name := range dialects.Names() {
		d, _ := dialects.Get(name)
		if span := d.Schedule(nil).Span(); span >= s.settings.Retention.Std() {
			days := config.Duration((span/(24*time.Hour) + 1) * 24 * time.Hour)
			return &config.Error{Setting: "--retention", Reason: fmt.Sprintf("%s is shorter than the retry schedule of the dialect %s", s.settings.Retention, name),
				Remedy: fmt.Sprintf("write %s or more: an event must not go while it is being retried", days)}
		}
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
			for _, secret := range e.Secrets {
				if (secret.ExpiresAt.IsZero() || secret.ExpiresAt.After(now)) && !yield(secret.Sealed) {
					return
				}
			}
		}
	}
}
