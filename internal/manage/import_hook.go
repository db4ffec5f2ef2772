package manage

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

func (i *importing) hook(in *ImportHook) (Imported, error) {
	id := in.id()
	out := Imported{Tenant: in.Tenant, VendorID: id}
	if in.Tenant == "" {
		return out, hook.Invalid("/tenant", "is missing")
	}
	t, ok := i.findTenant(in.Tenant)
	if !ok {
		return out, hook.Invalid("/tenant", "there is no tenant %q: put its own record before", hook.Clip(in.Tenant))
	}
	name := i.DialectOf(t)
	if in.Dialect != nil && *in.Dialect != "" {
		name = *in.Dialect
	}
	d, err := i.dialect(name)
	if err != nil {
		return out, err
	}
	if err := checkImportID(d, id); err != nil {
		return out, err
	}
	id = oneCase(d, id)
	out.VendorID = id
	by := foundBy(d, t.ID, id)
	old := i.endpoints[by]
	if old == nil {
		old = i.hookBy(d, t, id)
	}
	if old != nil && old.Deleted && i.isGone(old.TenantNum) {
		old = nil // it went with its tenant: whoever began anew may have the ids again
	}
	if err := mayTakeOver(old, in, t.ID); err != nil {
		return out, err
	}
	var e *hook.Endpoint
	if old == nil {
		e, err = i.newHook(t, d, in)
		out.Outcome = ImportCreated
	} else {
		e, err = i.changedHook(old, in)
		out.Outcome = ImportUpdated
	}
	if err != nil {
		return out, err
	}
	out.ID = e.ID
	if old != nil && i.sameHook(old, e) {
		i.isFirst(by)
		out.Outcome = ImportUnchanged
		return out, nil
	}
	if !i.isFirst(by) {
		return out, hook.Invalid("/vendor_id", "is that of record %d of this request, which says something else of the hook", i.first[by]+1)
	}
	i.change.Endpoints = put(i.change.Endpoints, i.endpoints[by], e)
	i.endpoints[by] = e
	return out, nil
}

func (i *importing) isGone(tenant hook.TenantNum) bool {
	t, ok := i.Directory.TenantByNum(tenant)
	return !ok || t.Deleted
}

// foundBy is what a hook is found again by: the id that its vendor gave it, or
// in a dialect without such ids, its own.
func foundBy(d *dialect.Dialect, tenant, id string) string {
	if d.IDs() == dialect.OwnIDs {
		return tenant + " " + id
	}
	return "@" + d.Family() + " " + id
}

// mayTakeOver refuses a record whose id means something else here.
func mayTakeOver(old *hook.Endpoint, in *ImportHook, tenant string) error {
	switch {
	case old == nil:
		return nil
	case old.Tenant != tenant:
		return hook.Invalid("/vendor_id", "is that of a hook of another tenant here")
	case old.Deleted:
		return hook.Invalid("/vendor_id", "is that of a hook that was deleted here, and no id is given twice")
	case in.Dialect != nil && *in.Dialect != "" && *in.Dialect != old.Dialect:
		return hook.Invalid("/dialect", "cannot change: the hook is here already, and speaks %q", old.Dialect)
	}
	return nil
}

// maxVendorNumber is how many digits a vendor's number may have, so that those
// that follow it still fit.
const maxVendorNumber = 18

// checkImportID checks the id that a hook is found again by.
func checkImportID(d *dialect.Dialect, id string) error {
	switch {
	case id == "":
		return hook.Invalid("/vendor_id", "is missing: by it the hook is found when it is imported again, and by its old clients")
	case d.IDs() == dialect.NumberIDs:
		if n, err := strconv.ParseInt(id, 10, 64); err != nil || n < 1 || len(id) > maxVendorNumber || strconv.FormatInt(n, 10) != id {
			return hook.Invalid("/vendor_id", "%q is no number: the hooks of %s have the numbers 1, 2, 3 and so on", hook.Clip(id), d.Name())
		}
	case d.IDs() == dialect.UUIDs:
		if !isUUID(id) {
			return hook.Invalid("/vendor_id", "%q is no UUID, which is what the hooks of %s are called by", hook.Clip(id), d.Name())
		}
	case strings.HasPrefix(id, endpointPrefix):
		return hook.Invalid("/vendor_id", "begins with %s, as only ids that were made here do", endpointPrefix)
	default:
		return under("/vendor_id", hook.ValidEndpointID(id))
	}
	return nil
}

// isUUID knows the one form that has hyphens.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !strings.ContainsRune("0123456789abcdefABCDEF", rune(s[i])) {
				return false
			}
		}
	}
	return true
}

func (i *importing) newHook(t *hook.Tenant, d *dialect.Dialect, in *ImportHook) (*hook.Endpoint, error) {
	n, counted := i.live[t.ID]
	if !counted {
		n = i.Directory.EndpointCount(t.ID)
	}
	if n >= i.MaxEndpoints {
		return nil, hook.Errorf(hook.CodeConflict, "the tenant has %d endpoints already, which is the limit", n)
	}
	if in.URL == nil {
		return nil, hook.Invalid("/url", "is missing")
	}
	e := &hook.Endpoint{
		ID: hook.NewID(endpointPrefix), VendorID: oneCase(d, in.id()), Tenant: t.ID, TenantNum: t.Num, Dialect: d.Name(),
		State: hook.EndpointActive, StateAt: i.now, CreatedAt: i.now, UpdatedAt: i.now,
	}
	if d.IDs() == dialect.OwnIDs {
		e.ID, e.VendorID = in.id(), ""
	}
	if d.SecretOwner() == dialect.SecretEndpoint && in.Secret == nil {
		return nil, hook.Invalid("/secret", "is missing: receivers verify with the one that they have, and one made now would be unknown to them. Hooks that are to get a new one are created by POST .../endpoints")
	}
	if err := i.fillHook(e, in); err != nil {
		return nil, err
	}
	i.live[t.ID] = n + 1
	return e, nil
}

func (i *importing) changedHook(old *hook.Endpoint, in *ImportHook) (*hook.Endpoint, error) {
	e := *old
	e.UpdatedAt = touched(old.UpdatedAt, i.now)
	return &e, i.fillHook(&e, in)
}

// fillHook puts what a record says into an endpoint. What it has already is
// left as it is, sealed values too.
func (i *importing) fillHook(e *hook.Endpoint, in *ImportHook) error {
	input := in.EndpointInput
	if e.Num != 0 { // what is so already has been checked, and might be refused by now
		input.URL, input.EventTypes, input.Fields = other(e.URL, input.URL), others(e.EventTypes, input.EventTypes), others(e.Fields, input.Fields)
	}
	if input.Headers != nil {
		has, err := i.Ring.OpenHeaders(e.Headers, e.Tenant, e.ID)
		if err != nil {
			return err
		}
		input.Headers = others(has, input.Headers)
	}
	state := input.State
	if input.State = nil; state != nil && *state != hook.EndpointDisabled {
		input.State = state
	}
	input.peers = func() []*hook.Endpoint { return i.peers(e.Tenant) }
	if err := i.fillEndpoint(e, input, i.now); err != nil {
		return err
	}
	if state != nil && *state == hook.EndpointDisabled && e.State != hook.EndpointDisabled {
		e.State, e.StateReason, e.StateAt = hook.EndpointDisabled, "it was disabled where it came from", touched(e.StateAt, i.now)
	}
	if in.CreatedAt != nil {
		if in.CreatedAt.After(i.now) {
			return hook.Invalid("/created_at", "is in the future")
		}
		e.CreatedAt = in.CreatedAt.UTC().Truncate(time.Millisecond)
	}
	if input.Secret != nil {
		if err := i.replaceSecret(e, *input.Secret, i.now); err != nil {
			return err
		}
	}
	return i.sealHeaders(e)
}

// peers are a tenant's endpoints as they are with this change so far.
func (i *importing) peers(tenant string) []*hook.Endpoint {
	var out []*hook.Endpoint
	changed := map[string]bool{}
	for _, e := range i.change.Endpoints {
		if e.Tenant == tenant {
			out, changed[e.ID] = append(out, e), true
		}
	}
	for _, e := range i.Directory.Endpoints(tenant) {
		if !changed[e.ID] {
			out = append(out, e)
		}
	}
	return out
}

// other is a value that is not the present one; nil: it is, or none is given.
func other[T comparable](now T, given *T) *T {
	if given == nil || *given == now {
		return nil
	}
	return given
}

func others[T comparable](now []T, given *[]T) *[]T {
	if given == nil || slices.Equal(*given, now) {
		return nil
	}
	return given
}

// sameHook reports whether a change of a hook changes nothing.
func (i *importing) sameHook(a, b *hook.Endpoint) bool {
	return a.URL == b.URL && slices.Equal(a.EventTypes, b.EventTypes) && a.Description == b.Description && slices.Equal(a.Fields, b.Fields) &&
		maps.Equal(a.Settings, b.Settings) && bytes.Equal(a.Filter, b.Filter) && slices.Equal(a.Headers, b.Headers) && a.State == b.State &&
		a.Ordering == b.Ordering && a.SkipAfter == b.SkipAfter && sameAs(a.Auth, b.Auth) && sameAs(a.TLS, b.TLS) &&
		a.CreatedAt.Equal(b.CreatedAt) && slices.Equal(a.Secrets, b.Secrets)
}

// hookBy finds a hook in the directory; by a vendor's id, deleted ones too.
func (i *importing) hookBy(d *dialect.Dialect, t *hook.Tenant, id string) *hook.Endpoint {
	if d.IDs() == dialect.OwnIDs {
		e, _ := i.Directory.EndpointByID(t.ID, id)
		return e
	}
	e, _ := i.Directory.EndpointByVendorID(d.Family(), id)
	return e
}
