package manage

import (
	"maps"
	"slices"

	"grapnel/internal/hook"
	"grapnel/internal/keyring"
)

// UnreadableSecrets tries to open every secret of a configuration and returns an
// error for each that cannot be. What is deleted is left out.
func UnreadableSecrets(ring *keyring.Ring, tenants []*hook.Tenant, endpoints []*hook.Endpoint) (bad []error) {
	for _, t := range tenants {
		if t.Deleted {
			continue
		}
		for _, dialect := range slices.Sorted(maps.Keys(t.Secrets)) {
			if _, err := ring.Open(t.Secrets[dialect], t.ID, tenantRecord(dialect)); err != nil {
				bad = append(bad, err)
			}
		}
	}
	for _, e := range endpoints {
		if e.Deleted {
			continue
		}
		for _, s := range e.Secrets {
			if _, err := ring.Open(s.Sealed, e.Tenant, e.ID); err != nil {
				bad = append(bad, err)
			}
		}
		if _, err := ring.OpenHeaders(e.Headers, e.Tenant, e.ID); err != nil {
			bad = append(bad, err)
		}
		if _, err := ring.OpenAuth(e); err != nil {
			bad = append(bad, err)
		}
		if _, err := ring.OpenTLSKey(e); err != nil {
			bad = append(bad, err)
		}
	}
	return bad
}
