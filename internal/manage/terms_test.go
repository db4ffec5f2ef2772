package manage_test

import (
	"testing"
	"testing/synctest"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// Each version of a record has a time of its own, also while the clock stands:
// an entity tag is made of it.
func TestEachVersionHasItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		tenant := b.tenant(t, "acme")
		e, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
		et, _, err := b.PutEventType(t.Context(), "a", manage.EventTypeInput{})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{})
			if err != nil || !r.Tenant.UpdatedAt.After(tenant.UpdatedAt) {
				t.Errorf("%v after %v, %v", r.Tenant.UpdatedAt, tenant.UpdatedAt, err)
			}
			put, err := b.PutEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{})
			if err != nil || !put.Endpoint.UpdatedAt.After(e.UpdatedAt) {
				t.Errorf("%v after %v, %v", put.Endpoint.UpdatedAt, e.UpdatedAt, err)
			}
			changed, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{})
			if err != nil || !changed.UpdatedAt.After(put.Endpoint.UpdatedAt) {
				t.Errorf("%v after %v, %v", changed.UpdatedAt, put.Endpoint.UpdatedAt, err)
			}
			again, _, err := b.PutEventType(t.Context(), "a", manage.EventTypeInput{})
			if err != nil || !again.UpdatedAt.After(et.UpdatedAt) {
				t.Errorf("%v after %v, %v", again.UpdatedAt, et.UpdatedAt, err)
			}
			tenant, e, et = r.Tenant, changed, again
		}
	})
}

// What is refused or only tried is not stored.
func TestTermsAreHeld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	revision := b.dir.Revision()
	no := hook.Errorf(manage.CodePrecondition, "no")
	refuse := manage.Terms[hook.Endpoint]{Allow: func(current *hook.Endpoint) error {
		if current == nil || current.ID != e.ID {
			t.Errorf("shown %v", current)
		}
		return no
	}}
	_, err := b.PutEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Terms: refuse})
	refused(t, "put", err, manage.CodePrecondition, "")
	_, err = b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Terms: refuse})
	refused(t, "update", err, manage.CodePrecondition, "")
	refused(t, "delete", b.DeleteEndpoint(t.Context(), "acme", e.ID, refuse), manage.CodePrecondition, "")
	dry := manage.Terms[hook.Endpoint]{DryRun: true}
	if r, err := b.PutEndpoint(t.Context(), "acme", "own", manage.EndpointInput{URL: new("https://example.com/"), Terms: dry}); err != nil || !r.Created || r.Endpoint.ID != "own" {
		t.Errorf("%+v, %v", r, err)
	}
	if err := b.DeleteEndpoint(t.Context(), "acme", e.ID, dry); err != nil {
		t.Error(err)
	}
	if b.dir.Revision() != revision {
		t.Error("something was stored")
	}
}
