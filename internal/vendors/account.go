package vendors

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"grapnel/internal/auth"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// account is a tenant as a vendor's contract sees it.
type account struct {
	*control
	t    *hook.Tenant
	deep int // deliveries that LastAttempt has read so far, beyond the newest 20 of each hook
}

// Tenant is the tenant, as it was when the request came.
func (a *account) Tenant() *hook.Tenant { return a.t }

// ours reports whether an endpoint is a hook of the vendor's.
func (a *account) ours(e *hook.Endpoint) bool { return e.Family() == a.of.family }

// idOf is what the vendor calls an endpoint.
func idOf(e *hook.Endpoint) string {
	if e.VendorID != "" {
		return e.VendorID
	}
	return e.ID
}

// Hooks are the live ones.
func (a *account) Hooks() []*hook.Endpoint {
	var out []*hook.Endpoint
	for _, e := range a.h.Directory.Endpoints(a.t.ID) {
		if a.ours(e) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, byVendorID)
	return out
}

// Hook finds a live one.
func (a *account) Hook(id string) (*hook.Endpoint, error) {
	e, ok := a.h.Directory.EndpointByVendorID(a.of.family, id)
	if !ok {
		e, ok = a.h.Directory.EndpointByID(a.t.ID, id)
		ok = ok && a.ours(e) && e.VendorID == ""
	}
	if !ok || e.Deleted || e.TenantNum != a.t.Num {
		return nil, noHook(id)
	}
	return e, nil
}

func noHook(id string) error {
	return hook.Errorf(hook.CodeNotFound, "there is no hook %q", hook.Clip(id))
}

// Create makes one.
func (a *account) Create(ctx context.Context, in dialect.HookInput) (*hook.Endpoint, hook.Secret, error) {
	if err := named(in.EventTypes); err != nil {
		return nil, "", err
	}
	given := input(in)
	if given.Secret != nil && *given.Secret == "" {
		given.Secret = nil
	}
	name, err := a.dialectOf(in.Dialect)
	if err != nil {
		return nil, "", err
	}
	given.Dialect = &name
	e, secret, err := a.h.Manager.CreateEndpoint(ctx, a.t.ID, given)
	if err != nil {
		return nil, "", a.told(err)
	}
	return e, secret, nil
}

// named refuses what stands for many events: that is the native API's, no
// vendor's has it.
func named(types *[]string) error {
	if types == nil {
		return nil
	}
	for i, t := range *types {
		if strings.Contains(t, "*") {
			return hook.Invalid(fmt.Sprintf("/event_types/%d", i), "%q is no event", hook.Clip(t))
		}
	}
	return nil
}

// dialectOf is what a new hook speaks.
func (a *account) dialectOf(name string) (string, error) {
	switch own := a.h.Manager.DialectOf(a.t); {
	case name != "" && hook.FamilyOf(name) != a.of.family:
		return "", hook.Invalid("/dialect", "%q is no variant of %s", hook.Clip(name), a.of.family)
	case name != "":
		return name, nil
	case hook.FamilyOf(own) == a.of.family:
		return own, nil
	}
	return a.of.Dialects[0].Name(), nil
}

// Update changes one.
func (a *account) Update(ctx context.Context, id string, in dialect.HookInput) (*hook.Endpoint, error) {
	e, err := a.Hook(id)
	if err != nil {
		return nil, err
	}
	if err := named(in.EventTypes); err != nil {
		return nil, err
	}
	given := input(in)
	given.Replace = true
	given.Terms.Allow = a.still(e, id)
	if e, err = a.h.Manager.UpdateEndpoint(ctx, a.t.ID, e.ID, given); err != nil {
		return nil, a.told(err)
	}
	return e, nil
}

// still refuses a change of another endpoint than the one that was found.
func (a *account) still(found *hook.Endpoint, id string) func(*hook.Endpoint) error {
	return func(e *hook.Endpoint) error {
		if e == nil || e.Num != found.Num {
			return noHook(id)
		}
		return nil
	}
}

// input is what a vendor's API asks for, in the words of manage.
func input(in dialect.HookInput) manage.EndpointInput {
	out := manage.EndpointInput{
		URL: in.URL, EventTypes: in.EventTypes, Description: in.Description, Secret: in.Secret,
		Fields: in.Fields, Filter: in.Filter, Settings: in.Settings,
	}
	if in.Active != nil {
		state := hook.EndpointPaused
		if *in.Active {
			state = hook.EndpointActive
		}
		out.State = &state
	}
	return out
}

// Delete removes one.
func (a *account) Delete(ctx context.Context, id string) error {
	e, err := a.Hook(id)
	if err != nil {
		return err
	}
	if err := a.h.Manager.DeleteEndpoint(ctx, a.t.ID, e.ID, manage.Terms[hook.Endpoint]{Allow: a.still(e, id)}); err != nil {
		return a.told(err)
	}
	return nil
}

// Secret opens the secret that signs for a hook alone.
func (a *account) Secret(e *hook.Endpoint) (hook.Secret, error) {
	if e.TenantNum != a.t.Num {
		return "", noHook(idOf(e))
	}
	secret, err := a.h.Manager.EndpointSecret(e)
	if err == nil {
		err = a.h.Manager.Note(a.c.r.Context(), manage.Action{Name: "endpoint.reveal_secret", Tenant: a.t, Object: e.ID, Result: hook.AuditDone})
	}
	if err != nil {
		return "", a.told(err)
	}
	return secret, nil
}

// StoreSecret opens the tenant's secret.
func (a *account) StoreSecret() (hook.Secret, error) {
	t, ok := a.h.Directory.Tenant(a.t.ID)
	if !ok {
		return "", a.told(auth.NoTenant(a.t.ID))
	}
	secret, err := a.h.Manager.StoreSecret(t, a.of.family)
	if err == nil {
		err = a.h.Manager.Note(a.c.r.Context(), manage.Action{Name: "tenant.reveal_secret", Tenant: t, Object: t.ID, Result: hook.AuditDone})
	}
	if err != nil {
		return "", a.told(err)
	}
	return secret, nil
}

// SetStoreSecret changes it.
func (a *account) SetStoreSecret(ctx context.Context, secret hook.Secret) error {
	return a.put(ctx, manage.TenantInput{Secrets: map[string]hook.Secret{a.of.family: secret}})
}

// SetSettings changes some of the tenant's settings.
func (a *account) SetSettings(ctx context.Context, settings map[string]string) error {
	return a.put(ctx, manage.TenantInput{Merge: settings})
}

// put changes the tenant, and makes none.
func (a *account) put(ctx context.Context, in manage.TenantInput) error {
	in.Terms.Allow = func(t *hook.Tenant) error {
		if t == nil {
			return auth.NoTenant(a.t.ID)
		}
		return nil
	}
	if _, err := a.h.Manager.PutTenant(ctx, a.t.ID, in); err != nil {
		return a.told(err)
	}
	return nil
}
