package manage_test

import (
	"fmt"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
)

// vendors lets a Manager know all contracts.
func vendors(t *testing.T) func(*manage.Config) {
	t.Helper()
	r, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	return func(c *manage.Config) { c.Dialects = r }
}

func TestVendorIDs(t *testing.T) {
	t.Parallel()
	b := setup(t, vendors(t))
	b.tenant(t, "acme")
	b.tenant(t, "other")
	ctx, url, types := t.Context(), new("https://a.example/"), &[]string{"client_created"}
	with := func(tenant, name, id string) (*hook.Endpoint, error) {
		in := manage.EndpointInput{URL: url, Dialect: &name, EventTypes: types}
		switch name {
		case "sixpark", "standard":
			in.EventTypes = nil
		case "smake", "smake@2022-02-01":
			in.EventTypes = &[]string{"order.cancelled"} // which both versions have
		}
		if id != "" {
			in.VendorID = &id
		}
		e, _, err := b.CreateEndpoint(ctx, tenant, in)
		return e, err
	}
	for _, c := range []struct {
		tenant, dialect, given, want string
		code                         hook.Code
	}{
		{"acme", "propstack", "", "1", ""},
		{"other", "propstack", "", "2", ""}, // one sequence for all tenants
		{"acme", "propstack", "41", "41", ""},
		{"other", "propstack", "", "42", ""},
		{"other", "propstack", "41", "", hook.CodeConflict},
		{"acme", "propstack", "0", "", hook.CodeInvalid},
		{"acme", "propstack", "017", "", hook.CodeInvalid},
		{"acme", "propstack", "-3", "", hook.CodeInvalid},
		{"acme", "propstack", "9999999999999999999", "", hook.CodeInvalid},
		{"acme", "propstack", "330acf46-0000-4000-8000-000000000000", "", hook.CodeInvalid},
		{"acme", "smake", "", "1", ""}, // each contract counts for itself
		{"acme", "smake@2022-02-01", "", "2", ""},
		{"acme", "smake@2022-02-01", "1", "", hook.CodeConflict},
		{"acme", "sixpark", "330acf46-0000-4000-8000-000000000000", "330acf46-0000-4000-8000-000000000000", ""},
		{"acme", "sixpark", "17", "", hook.CodeInvalid},
		{"acme", "standard", "", "", ""},
		{"acme", "standard", "17", "", manage.CodeUnsuitable},
	} {
		e, err := with(c.tenant, c.dialect, c.given)
		if hook.CodeOf(err) != c.code {
			t.Errorf("%s %q: %v, want %q", c.dialect, c.given, err, c.code)
		}
		if err == nil && e.VendorID != c.want {
			t.Errorf("%s %q: %q, want %q", c.dialect, c.given, e.VendorID, c.want)
		}
	}
	e, err := with("acme", "sixpark", "")
	if err != nil || len(e.VendorID) != 36 || e.VendorID[14] != '4' {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := b.UpdateEndpoint(ctx, "acme", e.ID, manage.EndpointInput{VendorID: &e.VendorID}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	_, err = b.UpdateEndpoint(ctx, "acme", e.ID, manage.EndpointInput{VendorID: new("")})
	refused(t, "another id", err, hook.CodeInvalid, "/vendor_id")

	last, _ := b.dir.EndpointByVendorID("propstack", "42")
	if err := b.DeleteEndpoint(ctx, "other", last.ID, manage.Terms[hook.Endpoint]{}); err != nil {
		t.Fatal(err)
	}
	if e, err := with("acme", "propstack", ""); err != nil || e.VendorID != "43" { // no id is given twice
		t.Errorf("%+v, %v", e, err)
	}
	_, err = with("acme", "propstack", "42")
	refused(t, "the id of a deleted one", err, hook.CodeConflict, "/vendor_id")
}

func TestFieldsAndSettings(t *testing.T) {
	t.Parallel()
	b := setup(t, vendors(t))
	b.tenant(t, "acme")
	ctx := t.Context()
	in := manage.EndpointInput{
		URL: new("https://a.example/"), Dialect: new("api2cart"), EventTypes: &[]string{"product.add"},
		Fields: &[]string{"id", "price.value"}, Settings: &map[string]string{"store_id": "2"},
	}
	e, _ := b.endpointOf(t, "acme", in)
	if fmt.Sprint(e.Fields, e.Settings) != "[id price.value] map[store_id:2]" {
		t.Errorf("%v %v", e.Fields, e.Settings)
	}
	e, err := b.UpdateEndpoint(ctx, "acme", e.ID, manage.EndpointInput{Fields: &[]string{}, Description: new("d")})
	if err != nil || len(e.Fields) != 0 || e.Settings["store_id"] != "2" {
		t.Errorf("%+v, %v", e, err)
	}
	long := make([]byte, 300)
	for _, c := range []struct {
		name string
		in   manage.EndpointInput
		code hook.Code
		at   string
	}{
		{"an empty field", manage.EndpointInput{Fields: &[]string{"id", ""}}, hook.CodeInvalid, "/fields/1"},
		{"no path", manage.EndpointInput{Fields: &[]string{"id", "price..value"}}, hook.CodeInvalid, "/fields/1"},
		{"two fields in one", manage.EndpointInput{Fields: &[]string{"id,name"}}, hook.CodeInvalid, "/fields/0"},
		{"a long field", manage.EndpointInput{Fields: &[]string{string(long)}}, hook.CodeInvalid, "/fields/0"},
		{"many fields", manage.EndpointInput{Fields: new(make([]string, 201))}, hook.CodeInvalid, "/fields"},
		{"a setting without a name", manage.EndpointInput{Settings: &map[string]string{"": "x"}}, hook.CodeInvalid, "/settings"},
	} {
		_, err := b.UpdateEndpoint(ctx, "acme", e.ID, c.in)
		refused(t, c.name, err, c.code, c.at)
	}
	in.Dialect, in.EventTypes = new("propstack"), &[]string{"client_created"}
	_, _, err = b.CreateEndpoint(ctx, "acme", in)
	refused(t, "fields of a dialect that sends all", err, manage.CodeUnsuitable, "/fields")
}

func TestReplacingASecret(t *testing.T) {
	t.Parallel()
	b := setup(t, vendors(t))
	b.tenant(t, "acme")
	ctx := t.Context()
	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{URL: new("https://a.example/"), Dialect: new("sixpark")})
	_, err := b.UpdateEndpoint(ctx, "acme", e.ID, manage.EndpointInput{Secret: new(hook.Secret("")), Replace: true})
	refused(t, "none, where all are signed", err, manage.CodeUnsuitable, "/secret")
	_, err = b.UpdateEndpoint(ctx, "acme", e.ID, manage.EndpointInput{Secret: new(hook.Secret("x"))})
	refused(t, "one that does not replace", err, hook.CodeInvalid, "/secret")
	e, err = b.UpdateEndpoint(ctx, "acme", e.ID, manage.EndpointInput{Secret: new(hook.Secret("another")), Replace: true})
	if opened, _ := b.EndpointSecret(e); err != nil || opened != "another" || len(e.Secrets) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	made := e.Secrets[0].CreatedAt
	e, err = b.UpdateEndpoint(ctx, "acme", e.ID, manage.EndpointInput{Secret: new(hook.Secret("another")), Replace: true})
	if err != nil || !e.Secrets[0].CreatedAt.Equal(made) {
		t.Errorf("the same again: %+v, %v", e, err)
	}
}

func TestStoreSecretsByFamily(t *testing.T) {
	t.Parallel()
	b := setup(t, vendors(t))
	ctx := t.Context()
	b.tenant(t, "acme")
	acme := b.tenant(t, "acme")
	if len(acme.Secrets) != 2 || acme.Secrets["customers1st"] == "" || acme.Secrets["api2cart"] == "" {
		t.Fatalf("secrets for %d contracts", len(acme.Secrets))
	}
	r, err := b.PutTenant(ctx, "acme", manage.TenantInput{Dialect: new("customers1st@bare"), Secret: new(hook.Secret("of the family"))})
	if err != nil || r.Secret != "of the family" {
		t.Fatal(err)
	}
	if s, err := b.StoreSecret(r.Tenant, "customers1st"); err != nil || s != "of the family" {
		t.Errorf("%d bytes, %v", len(s), err)
	}
	_, err = b.PutTenant(ctx, "acme", manage.TenantInput{Secrets: map[string]hook.Secret{"smake": "x"}})
	refused(t, "of a contract that has none", err, manage.CodeUnsuitable, "/secret")
	if _, err = b.PutTenant(ctx, "acme", manage.TenantInput{Dialect: new("api2cart"), Secret: new(hook.Secret("k1"))}); err != nil {
		t.Fatal(err)
	}
	_, err = b.PutTenant(ctx, "new", manage.TenantInput{Dialect: new("api2cart"), Secret: new(hook.Secret("k1"))})
	refused(t, "another tenant's unique secret", err, hook.CodeConflict, "/secret")
	if _, ok := b.dir.Tenant("new"); ok {
		t.Error("a tenant was made all the same")
	}
	if found, ok := b.TenantBySecret("api2cart", "k1"); !ok || found.ID != "acme" {
		t.Errorf("%v, %t", found, ok)
	}
	if _, ok := b.TenantBySecret("customers1st", "k1"); ok {
		t.Error("a secret finds a tenant for another contract")
	}
}

// A version of the program that knows more contracts gives what there is
// already what they want of it.
func TestComplete(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *manage.Config) {
		r, err := dialect.NewRegistry(must(c.Dialects.Get("standard")))
		if err != nil {
			t.Fatal(err)
		}
		c.Dialects = r
	})
	ctx := t.Context()
	for i := range 3 {
		b.tenant(t, fmt.Sprintf("t%d", i))
	}
	before, _ := b.dir.Tenant("t0")
	if len(before.Secrets) != 0 {
		t.Fatalf("secrets: %v", before.Secrets)
	}
	vendors(t)(&b.Config)
	if n, err := b.Complete(ctx); err != nil || n != 3 {
		t.Fatalf("%d, %v", n, err)
	}
	revision := b.dir.Revision()
	seen := map[hook.Secret]bool{}
	for i := range 3 {
		now, _ := b.dir.Tenant(fmt.Sprintf("t%d", i))
		secret, err := b.StoreSecret(now, "api2cart")
		if err != nil || secret == "" || seen[secret] || !now.UpdatedAt.Equal(now.CreatedAt) {
			t.Errorf("%+v, %v", now, err)
		}
		seen[secret] = true
		if found, ok := b.TenantBySecret("api2cart", secret); !ok || found.ID != now.ID {
			t.Errorf("found by its secret: %v", found)
		}
	}
	if n, err := b.Complete(ctx); err != nil || n != 0 || b.dir.Revision() != revision {
		t.Errorf("again: %d, %v", n, err)
	}
}

// case 104: marks are made with the first key of the keyring. With another one in
// its place they are made anew, and those of a key behind it are known: other servers
// may still make them. Then the new key alone will do.
func TestCompleteAfterAnotherKey(t *testing.T) {
	t.Parallel()
	first := keyring.NewKey()
	ring := func(env string) *keyring.Ring {
		r, err := keyring.Open(keyring.Source{Env: env})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var made manage.Config
	b := setup(t, vendors(t), func(c *manage.Config) { c.Ring = ring(first); made = *c })
	if _, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{Secrets: map[string]hook.Secret{"api2cart": "k1"}}); err != nil {
		t.Fatal(err)
	}
	with := func(keys string) *manage.Manager {
		made.Ring = ring(keys)
		m, err := manage.New(made)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	found := func(m *manage.Manager) bool {
		who, ok := m.TenantBySecret("api2cart", "k1")
		return ok && who.ID == "acme"
	}
	second := keyring.NewKey()
	m := with(second + "," + first)
	if !found(m) || found(with(second)) {
		t.Error("want it found by a mark that the key behind the first one made, and not without that key")
	}
	if _, err := m.PutTenant(t.Context(), "other", manage.TenantInput{Secrets: map[string]hook.Secret{"api2cart": "k1"}}); hook.CodeOf(err) != hook.CodeConflict {
		t.Errorf("another tenant gets the same secret: %v", err)
	}
	if n, err := m.Complete(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if !found(m) || !found(with(first+","+second)) || !found(with(second)) {
		t.Error("not found by the mark that was made anew")
	}
}

func must[T any](v T, ok bool) T {
	if !ok {
		panic("missing")
	}
	return v
}
