package manage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/filter"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// memory is a small real configurator: it keeps what it is given, with
// revisions and numbers, and refuses stale changes. deliveries stand for a log.
type memory struct {
	mu         sync.Mutex
	revision   int64
	num        int64
	log        []store.Configuration
	audit      []*hook.AuditEntry
	fail       error  // what the next Configure returns
	before     func() // runs once before the next Configure takes place
	deliveries map[hook.DeliveryKey]*hook.Delivery
}

func (m *memory) Configure(_ context.Context, c *store.Change) (int64, error) {
	m.mu.Lock()
	before := m.before
	m.before = nil
	m.mu.Unlock()
	if before != nil {
		before()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail; err != nil {
		m.fail = nil
		return 0, err
	}
	if c.Base != 0 && max(c.Base, 0) != m.revision {
		return 0, store.ErrStale
	}
	for _, t := range c.Tenants {
		if t.Num == 0 {
			m.num++
			t.Num = hook.TenantNum(m.num)
		}
	}
	for _, e := range c.Endpoints {
		if e.Num == 0 {
			m.num++
			e.Num = hook.EndpointNum(m.num)
		}
	}
	m.audit = append(m.audit, c.Audit...)
	if !c.Configures() {
		return m.revision, nil
	}
	if !c.Note {
		m.revision++
	}
	m.log = append(m.log, store.Configuration{Revision: m.revision, Tenants: c.Tenants, Endpoints: c.Endpoints, Types: c.Types, Keys: c.Keys, Replays: c.Replays, Pinned: c.Pinned})
	return m.revision, nil
}

func (m *memory) Configuration(_ context.Context, since int64) (*store.Configuration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &store.Configuration{Revision: m.revision}
	for _, c := range m.log {
		if c.Revision > since {
			out.Tenants = append(out.Tenants, c.Tenants...)
			out.Endpoints = append(out.Endpoints, c.Endpoints...)
			out.Types = append(out.Types, c.Types...)
			out.Keys = append(out.Keys, c.Keys...)
			out.Replays = append(out.Replays, c.Replays...)
			out.Pinned = append(out.Pinned, c.Pinned...)
		}
	}
	return out, nil
}

func (m *memory) Remembered(context.Context, store.RequestKey, time.Time) (*store.Request, error) {
	return nil, nil // no change here has requests
}

func (m *memory) Delivery(_ context.Context, tenant hook.TenantNum, key hook.DeliveryKey) (*hook.Delivery, error) {
	d, ok := m.deliveries[key]
	if !ok || d.Tenant != tenant {
		return nil, store.ErrNotFound
	}
	return d, nil
}

func (m *memory) Redeliver(_ context.Context, tenant hook.TenantNum, key hook.DeliveryKey, now time.Time) error {
	if d := m.deliveries[key]; d.Attempts > 0 { // a fresh delivery is left as it is
		d.State, d.NextAt = hook.Pending, now
	}
	return nil
}

// own is a dialect that signs with its tenant's secret, optional one whose
// endpoints may go unsigned and have one type each, mute one without secrets.
const (
	own = `
name: own
title: Tenant's secret
request: {timeout: 10s, headers: {Content-Type: application/json, User-Agent: Test, X-Own: a}, body: {json: "{event.data}"}}
subscription: all
secret: {owner: tenant, made: always, forms: [text]}
sign:
  - {header: X-Own-Signature, over: "{body}", with: [{key: text, algorithm: hmac-sha256, encoding: hex, text: "{signature}"}]}
success: [2xx]
retry: {on: any, waits: [1m]}
on_inactive: cancel
`
	optional = `
name: optional
title: Optional secret
request: {timeout: 10s, headers: {Content-Type: application/json, User-Agent: Test}, body: {json: "{event.data}"}}
subscription: one
secret: {owner: endpoint, made: optional, forms: [text]}
sign:
  - {header: X-Signature, over: "{body}", with: [{key: text, algorithm: hmac-sha256, encoding: hex, text: "{signature}"}]}
success: [2xx]
retry: {on: any, waits: [1m]}
on_inactive: cancel
`
	mute = `
name: mute
title: No secret
request: {timeout: 10s, headers: {Content-Type: application/json, User-Agent: Test}, body: {json: "{event.data}"}}
subscription: any
secret: {made: never}
success: [2xx]
retry: {on: none}
on_inactive: hold
`
)

type bundle struct {
	*manage.Manager
	store *memory
	dir   *directory.Directory
	ring  *keyring.Ring
	log   *bytes.Buffer
}

func setup(t *testing.T, change ...func(*manage.Config)) *bundle {
	t.Helper()
	b := &bundle{store: &memory{deliveries: map[hook.DeliveryKey]*hook.Delivery{}}, log: &bytes.Buffer{}}
	var err error
	if b.dir, err = directory.Load(t.Context(), b.store); err != nil {
		t.Fatal(err)
	}
	if b.ring, err = keyring.Open(keyring.Source{Env: keyring.NewKey()}); err != nil {
		t.Fatal(err)
	}
	c := manage.Config{
		Store: b.store, Deliveries: b.store, Directory: b.dir, Dialects: dialects(t), Ring: b.ring,
		Logger:      slog.New(slog.NewJSONHandler(b.log, nil)),
		CheckURL:    checkURL,
		CheckFilter: func(tree []byte) error { _, err := filter.Parse(tree); return err },
	}
	for _, f := range change {
		f(&c)
	}
	if b.Manager, err = manage.New(c); err != nil {
		t.Fatal(err)
	}
	return b
}

func dialects(t *testing.T) *dialect.Registry {
	t.Helper()
	builtIn, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	standard, _ := builtIn.Get("standard")
	list := []*dialect.Dialect{standard}
	for _, src := range []string{own, optional, mute} {
		d, err := dialect.Load("test.yaml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, d)
	}
	r, err := dialect.NewRegistry(list...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checkURL(raw string) error {
	if !strings.HasPrefix(raw, "https://") {
		return hook.Invalid("/url", "want https")
	}
	return nil
}

func (b *bundle) tenant(t *testing.T, id string) *hook.Tenant {
	t.Helper()
	r, err := b.PutTenant(t.Context(), id, manage.TenantInput{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Tenant
}

func (b *bundle) endpointOf(t *testing.T, tenant string, in manage.EndpointInput) (*hook.Endpoint, hook.Secret) {
	t.Helper()
	if in.URL == nil {
		in.URL = new("https://example.com/hook")
	}
	e, secret, err := b.CreateEndpoint(t.Context(), tenant, in)
	if err != nil {
		t.Fatal(err)
	}
	return e, secret
}

// refused checks an error's code and the field that it points at.
func refused(t *testing.T, what string, err error, code hook.Code, field string) {
	t.Helper()
	var e *hook.Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field {
		t.Errorf("%s: %v; want %s at %q", what, err, code, field)
	}
}

func TestTenantLife(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{Name: new("Acme")})
	if err != nil || !r.Created || r.Secret != "" || r.Tenant.Num == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	r, err = b.PutTenant(t.Context(), "acme", manage.TenantInput{APIVersion: new("v2"), Settings: &map[string]string{"a": "b"}})
	if err != nil || r.Created {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := r.Tenant; got.Name != "Acme" || got.APIVersion != "v2" || got.Settings["a"] != "b" {
		t.Errorf("absent fields changed: %+v", got)
	}
	if live, ok := b.dir.Tenant("acme"); !ok || live.APIVersion != "v2" {
		t.Error("the directory does not see the change")
	}

	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	mine, _, err := b.CreateKey(t.Context(), manage.KeyInput{Tenants: []string{"acme"}, Scopes: []hook.Scope{hook.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	b.tenant(t, "other")
	shared, _, err := b.CreateKey(t.Context(), manage.KeyInput{Tenants: []string{"acme", "other"}, Scopes: []hook.Scope{hook.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.DeleteTenant(t.Context(), "acme", manage.Terms[hook.Tenant]{}); err != nil {
		t.Fatal(err)
	}
	gone, _ := b.dir.Endpoint(e.Num)
	if !gone.Deleted || len(gone.Secrets) != 0 {
		t.Errorf("the endpoint survives its tenant: %+v", gone)
	}
	if _, ok := b.dir.KeyByID(mine.ID); ok {
		t.Error("a key that was bound to the tenant alone survives")
	}
	if k, ok := b.dir.KeyByID(shared.ID); !ok || !cmp.Equal(k.Tenants, []string{"other"}) {
		t.Errorf("a shared key: %+v", k)
	}
	_, err = b.DeleteTenant(t.Context(), "acme", manage.Terms[hook.Tenant]{})
	refused(t, "delete again", err, hook.CodeNotFound, "")

	// case 96: the same id again is another tenant
	again := b.tenant(t, "acme")
	if again.Num == r.Tenant.Num || len(b.dir.Endpoints("acme")) != 0 {
		t.Error("a new tenant took over the old one's things")
	}
}

func TestTenantRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		id    string
		in    manage.TenantInput
		code  hook.Code
		field string
	}{
		{"..", manage.TenantInput{}, hook.CodeInvalid, ""},
		{"a/b", manage.TenantInput{}, hook.CodeInvalid, ""},
		{"acme", manage.TenantInput{Name: &long}, hook.CodeInvalid, "/name"},
		{"acme", manage.TenantInput{Name: new("\xff")}, hook.CodeInvalid, "/name"},
		{"acme", manage.TenantInput{Dialect: new("nope")}, hook.CodeInvalid, "/dialect"},
		{"acme", manage.TenantInput{APIVersion: &long}, hook.CodeInvalid, "/api_version"},
		{"acme", manage.TenantInput{Settings: &map[string]string{"a/b": long}}, hook.CodeInvalid, "/settings/a~1b"},
		{"acme", manage.TenantInput{Settings: &map[string]string{"": "x"}}, hook.CodeInvalid, "/settings"},
		{"acme", manage.TenantInput{Secret: new(hook.Secret("s"))}, manage.CodeUnsuitable, "/secret"},
		{"acme", manage.TenantInput{Dialect: new("own"), Secret: new(hook.Secret(""))}, hook.CodeInvalid, "/secret"},
	} {
		_, err := b.PutTenant(t.Context(), c.id, c.in)
		refused(t, c.id+c.field, err, c.code, c.field)
	}
	if len(b.dir.Tenants()) != 0 {
		t.Error("a refused tenant was stored")
	}
}

// Each tenant has a secret for every dialect that signs with it, and the
// tenant's field addresses that of its own dialect.
func TestTenantSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plain := b.tenant(t, "plain")
	if len(plain.Secrets) != 1 || plain.Secrets["own"] == "" {
		t.Errorf("secrets: %v", plain.Secrets)
	}
	made, err := b.PutTenant(t.Context(), "made", manage.TenantInput{Dialect: new("own")})
	if err != nil || made.Secret == "" {
		t.Fatalf("%v; the new secret is shown: %t", err, made.Secret != "")
	}
	opened, err := b.ring.Open(made.Tenant.Secrets["own"], "made", "tenant/own")
	if err != nil || opened != made.Secret {
		t.Errorf("opened %v", err)
	}
	given, err := b.PutTenant(t.Context(), "made", manage.TenantInput{Secret: new(hook.Secret(" own text "))})
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := b.ring.Open(given.Tenant.Secrets["own"], "made", "tenant/own"); err != nil || opened != " own text " {
		t.Errorf("a given secret is kept as it is: %v", err)
	}
	later, err := b.PutTenant(t.Context(), "made", manage.TenantInput{Name: new("n")})
	if err != nil || later.Secret != "" || later.Tenant.Secrets["own"] != given.Tenant.Secrets["own"] {
		t.Errorf("another change touched or showed the secret: %v", err)
	}
}

func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	// Another process changes the configuration between our reading and storing.
	other := &hook.Tenant{ID: "acme", Num: 1, Name: "theirs"}
	b.store.before = func() {
		if _, err := b.store.Configure(t.Context(), &store.Change{Tenants: []*hook.Tenant{other}}); err != nil {
			t.Error(err)
		}
	}
	r, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{APIVersion: new("v9")})
	if err != nil || r.Tenant.Name != "theirs" || r.Tenant.APIVersion != "v9" {
		t.Errorf("%+v, %v: the other change is lost", r.Tenant, err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, _, err := b.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: new("https://example.com/")}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(b.dir.Endpoints("acme")); n != 20 {
		t.Errorf("%d endpoints, want 20", n)
	}
}

// case 98
func TestStoreTroublePasses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, trouble := range []error{store.ErrFull, store.ErrUnavailable, store.ErrUnknown, store.ErrClosed} {
		b.store.fail = trouble
		_, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{})
		if hook.CodeOf(err) != hook.CodeUnavailable || !errors.Is(err, trouble) {
			t.Errorf("%v: %v", trouble, err)
		}
	}
	b.store.fail = errors.New("bug")
	if _, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{}); hook.CodeOf(err) != hook.CodeInternal {
		t.Errorf("%v", err)
	}
}

func TestEventTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sample := []byte(` {"id": 1} `)
	et, created, err := b.PutEventType(t.Context(), "invoice.paid", manage.EventTypeInput{Description: new("paid"), Sample: &sample})
	if err != nil || !created || string(et.Sample) != `{"id": 1}` {
		t.Fatalf("%+v, %v", et, err)
	}
	et, created, err = b.PutEventType(t.Context(), "invoice.paid", manage.EventTypeInput{Sample: &[]byte{}})
	if err != nil || created || et.Sample != nil || et.Description != "paid" {
		t.Errorf("%+v, %v", et, err)
	}
	for _, c := range []struct {
		name  string
		in    manage.EventTypeInput
		field string
	}{
		{"with space", manage.EventTypeInput{}, ""},
		{"ok", manage.EventTypeInput{Schema: new([]byte(`{"type":"thing"}`))}, "/schema/type"},
		{"ok", manage.EventTypeInput{Validate: new(true)}, "/validate"},
		{"ok", manage.EventTypeInput{Group: new(strings.Repeat("x", 101))}, "/group"},
		{"ok", manage.EventTypeInput{Sample: new([]byte(`{"a":1,"a":2}`))}, "/sample"},
		{"ok", manage.EventTypeInput{Sample: new([]byte(`"` + strings.Repeat("x", 70_000) + `"`))}, "/sample"},
		{"ok", manage.EventTypeInput{Description: new(strings.Repeat("x", 2000))}, "/description"},
	} {
		_, _, err := b.PutEventType(t.Context(), c.name, c.in)
		refused(t, c.name+c.field, err, hook.CodeInvalid, c.field)
	}
	_, _, err = b.PutEventType(t.Context(), "ok", manage.EventTypeInput{Schema: new([]byte(`{"properties":{"a":{"type":"string"}}}`)), Sample: new([]byte(`{"a":1}`))})
	refused(t, "a sample that does not fit", err, hook.CodeUnfit, "/sample/a")
	if err := b.DeleteEventType(t.Context(), "invoice.paid", manage.Terms[hook.EventType]{}); err != nil {
		t.Error(err)
	}
	refused(t, "delete again", b.DeleteEventType(t.Context(), "invoice.paid", manage.Terms[hook.EventType]{}), hook.CodeNotFound, "")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	k, text, err := b.CreateKey(t.Context(), manage.KeyInput{Tenants: []string{"acme"}, Scopes: []hook.Scope{hook.ScopePublish}})
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); len(s) != 41 || !strings.HasPrefix(s, "gk_") || k.Hint != s[:7] {
		t.Errorf("form of a key: %q, hint %q", s, k.Hint)
	}
	if found, ok := b.dir.Key(sha256.Sum256([]byte(text))); !ok || found.ID != k.ID {
		t.Error("the key is not found by its hash")
	}
	_, second, _ := b.CreateKey(t.Context(), manage.KeyInput{Scopes: []hook.Scope{hook.ScopePublish}})
	if second == text {
		t.Error("two keys are equal")
	}
	given := hook.Secret("legacy key of 2019")
	taken, echo, err := b.CreateKey(t.Context(), manage.KeyInput{Key: &given, Scopes: []hook.Scope{hook.ScopeManage}})
	if err != nil || echo != given || taken.Hint != "lega" {
		t.Errorf("take over: %+v, %v", taken, err)
	}
	past := time.Now().Add(-time.Minute)
	for _, c := range []struct {
		in    manage.KeyInput
		code  hook.Code
		field string
	}{
		{manage.KeyInput{}, hook.CodeInvalid, "/scopes"},
		{manage.KeyInput{Scopes: []hook.Scope{"root"}}, hook.CodeInvalid, "/scopes/0"},
		{manage.KeyInput{Scopes: []hook.Scope{"read", "read"}}, hook.CodeInvalid, "/scopes/1"},
		{manage.KeyInput{Scopes: []hook.Scope{"admin"}, Tenants: []string{"acme"}}, hook.CodeInvalid, "/scopes"},
		{manage.KeyInput{Scopes: []hook.Scope{"read"}, Tenants: []string{"nobody"}}, hook.CodeInvalid, "/tenants/0"},
		{manage.KeyInput{Scopes: []hook.Scope{"read"}, Tenants: []string{"acme", "acme"}}, hook.CodeInvalid, "/tenants/1"},
		{manage.KeyInput{Scopes: []hook.Scope{"read"}, ExpiresAt: &past}, hook.CodeInvalid, "/expires_at"},
		{manage.KeyInput{Scopes: []hook.Scope{"read"}, Key: new(hook.Secret("short"))}, hook.CodeInvalid, "/key"},
		{manage.KeyInput{Scopes: []hook.Scope{"read"}, Key: new(hook.Secret(strings.Repeat("x", 600)))}, hook.CodeInvalid, "/key"},
		{manage.KeyInput{Scopes: []hook.Scope{"read"}, Key: new(hook.Secret("line\nbreak in the key"))}, hook.CodeInvalid, "/key"},
		{manage.KeyInput{Scopes: []hook.Scope{"read"}, Key: new(hook.Secret("trailing space is lost "))}, hook.CodeInvalid, "/key"},
		{manage.KeyInput{Scopes: []hook.Scope{"read"}, Key: &given}, hook.CodeConflict, "/key"},
	} {
		_, _, err := b.CreateKey(t.Context(), c.in)
		refused(t, c.field, err, c.code, c.field)
		if c.in.Key != nil && len(*c.in.Key) > 0 && strings.Contains(err.Error(), string(*c.in.Key)) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	if err := b.RevokeKey(t.Context(), k.ID, manage.Terms[hook.Key]{}); err != nil {
		t.Error(err)
	}
	if _, ok := b.dir.Key(k.Hash); ok {
		t.Error("a revoked key is found")
	}
	refused(t, "revoke again", b.RevokeKey(t.Context(), k.ID, manage.Terms[hook.Key]{}), hook.CodeNotFound, "")
}

func TestEnsureAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.EnsureAdmin(t.Context(), "")
	if err != nil || made == "" {
		t.Fatalf("first start: %v", err)
	}
	if again, err := b.EnsureAdmin(t.Context(), ""); err != nil || again != "" {
		t.Errorf("second start made another one: %v", err)
	}
	for range 2 {
		if shown, err := b.EnsureAdmin(t.Context(), "given-by-the-environment"); err != nil || shown != "" {
			t.Errorf("given: %v", err)
		}
	}
	if n := len(b.dir.Keys()); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
	first := b.dir.Keys()[0]
	second := b.dir.Keys()[1]
	if err := b.RevokeKey(t.Context(), first.ID, manage.Terms[hook.Key]{}); err != nil {
		t.Error(err)
	}
	refused(t, "last admin", b.RevokeKey(t.Context(), second.ID, manage.Terms[hook.Key]{}), hook.CodeConflict, "")

	_, weak, err := b.CreateKey(t.Context(), manage.KeyInput{Scopes: []hook.Scope{hook.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.EnsureAdmin(t.Context(), weak)
	refused(t, "a key of other scopes", err, hook.CodeConflict, "")
	_, err = b.EnsureAdmin(t.Context(), "tiny")
	refused(t, "too short", err, hook.CodeInvalid, "/key")
}

func TestRedeliver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acme, other := b.tenant(t, "acme"), b.tenant(t, "other")
	standard, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	cancels, _ := b.endpointOf(t, "acme", manage.EndpointInput{Dialect: new("optional"), EventTypes: &[]string{"a"}})
	event := hook.NextEventID(0, time.Now(), 1)
	add := func(e *hook.Endpoint, state hook.DeliveryState, attempts int) hook.DeliveryKey {
		key := hook.DeliveryKey{Event: event, Endpoint: e.Num}
		b.store.deliveries[key] = &hook.Delivery{Key: key, Tenant: acme.Num, State: state, Attempts: attempts, Reason: "suppressed"}
		return key
	}
	key := add(standard, hook.Failed, 3)
	if d, err := b.Redeliver(t.Context(), "acme", key); err != nil || d.State != hook.Pending {
		t.Errorf("%+v, %v", d, err)
	}
	_, err := b.Redeliver(t.Context(), other.ID, key)
	refused(t, "another tenant's", err, hook.CodeNotFound, "")
	_, err = b.Redeliver(t.Context(), "nobody", key)
	refused(t, "no tenant", err, hook.CodeNotFound, "")

	if _, err := b.Redeliver(t.Context(), "acme", add(standard, hook.Delivered, 9_999)); err != nil {
		t.Errorf("9,999 attempts: %v", err)
	}
	_, err = b.Redeliver(t.Context(), "acme", add(standard, hook.Failed, 10_000))
	refused(t, "10,000 attempts", err, hook.CodeConflict, "")

	add(standard, hook.Cancelled, 0)
	_, err = b.Redeliver(t.Context(), "acme", key)
	refused(t, "suppressed", err, hook.CodeConflict, "")

	paused := hook.EndpointPaused
	for _, e := range []*hook.Endpoint{standard, cancels} {
		if _, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{State: &paused}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Redeliver(t.Context(), "acme", add(standard, hook.Failed, 1)); err != nil {
		t.Errorf("a paused endpoint that holds: %v", err)
	}
	_, err = b.Redeliver(t.Context(), "acme", add(cancels, hook.Failed, 1))
	refused(t, "a paused endpoint that cancels", err, hook.CodeConflict, "")

	if err := b.DeleteEndpoint(t.Context(), "acme", standard.ID, manage.Terms[hook.Endpoint]{}); err != nil {
		t.Fatal(err)
	}
	_, err = b.Redeliver(t.Context(), "acme", key)
	refused(t, "a deleted endpoint", err, hook.CodeConflict, "")
}

// dump shows everything in a configuration as a store would write it.
func dump(t *testing.T, c *store.Configuration) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
