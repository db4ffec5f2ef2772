package keyring

import (
	"slices"
	"strings"

	"grapnel/internal/hook"
)

// headerRecord names the value of an endpoint's header. No endpoint's id holds a
// slash, so that it is nothing else's name.
func headerRecord(endpoint, name string) string {
	return "header/" + endpoint + "/" + strings.ToLower(name)
}

// SealHeaders seals the values of an endpoint's headers that are credentials by
// their names. What is sealed already, or empty, stays as it is, and so does
// the list that is given.
func (r *Ring) SealHeaders(headers []hook.Header, tenant, endpoint string) ([]hook.Header, error) {
	return convert(headers, func(h hook.Header) bool { return h.Value != "" && hook.Confidential(h.Name) }, func(h *hook.Header) (err error) {
		h.Sealed, err = r.Seal(hook.Secret(h.Value), tenant, headerRecord(endpoint, h.Name))
		h.Value = ""
		return err
	})
}

// OpenHeaders makes an endpoint's headers as they are sent. Values that are not
// sealed are those of folders from before they were.
func (r *Ring) OpenHeaders(headers []hook.Header, tenant, endpoint string) ([]hook.Header, error) {
	return convert(headers, func(h hook.Header) bool { return h.Sealed != "" }, func(h *hook.Header) error {
		value, err := r.Open(h.Sealed, tenant, headerRecord(endpoint, h.Name))
		h.Value, h.Sealed = string(value), ""
		return err
	})
}

// convert changes a copy of those headers that are to be changed. Where none
// is, it is the same list.
func convert(headers []hook.Header, which func(hook.Header) bool, change func(*hook.Header) error) ([]hook.Header, error) {
	if !slices.ContainsFunc(headers, which) {
		return headers, nil
	}
	out := slices.Clone(headers)
	for i := range out {
		if which(out[i]) {
			if err := change(&out[i]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
