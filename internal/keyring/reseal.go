package keyring

import (
	"slices"

	"grapnel/internal/hook"
)

// SealedFirst reports whether the ring's first key sealed it: what another one
// sealed is why that one is still needed.
func (r *Ring) SealedFirst(s hook.Sealed) bool { return KeyIDOf(s) == r.keys[0].id }

// Reseal seals with the first key what another one of the ring has sealed, for
// the same tenant and record. What the first key has sealed stays as it is.
// Errors are those of Open.
func (r *Ring) Reseal(s hook.Sealed, tenant, record string) (hook.Sealed, error) {
	if r.SealedFirst(s) {
		return s, nil
	}
	plain, err := r.Open(s, tenant, record)
	if err != nil {
		return "", err
	}
	return r.Seal(plain, tenant, record)
}

// ResealHeaders is Reseal for the values of an endpoint's headers; those that
// ought to be sealed and are not, in a folder from before they were, are sealed.
func (r *Ring) ResealHeaders(headers []hook.Header, tenant, endpoint string) ([]hook.Header, error) {
	if !slices.ContainsFunc(headers, func(h hook.Header) bool { return h.Sealed != "" && !r.SealedFirst(h.Sealed) }) {
		return r.SealHeaders(headers, tenant, endpoint)
	}
	opened, err := r.OpenHeaders(headers, tenant, endpoint)
	if err != nil {
		return nil, err
	}
	return r.SealHeaders(opened, tenant, endpoint)
}
