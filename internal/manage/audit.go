package manage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// actorKey is what a context keeps its actor under.
type actorKey struct{}

// As is a context in which whoever actor tells of acts. It is asked when something is
// done, so that a face may fill it in once it knows.
func As(ctx context.Context, actor *hook.Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// actorOf is who acts; where nobody has asked for it, the server itself.
func actorOf(ctx context.Context) hook.Actor {
	if a, ok := ctx.Value(actorKey{}).(*hook.Actor); ok && a.KeyID != "" {
		return *a
	}
	return hook.Actor{Kind: hook.ActorServer}
}

// Action is something that is done to what is no configuration.
type Action struct {
	Name   string // such as "delivery.redeliver"
	Tenant *hook.Tenant
	Object string           // the id of what it is done to
	With   map[string]any   // what is to be known of how: no secrets, and nothing of events
	Result hook.AuditResult // "": AuditAsked
}

// Note stores an entry of the audit log, before what it tells of is done: what cannot
// be noted is not to be done.
func (m *Manager) Note(ctx context.Context, a Action) error {
	e := &hook.AuditEntry{At: now(), Actor: actorOf(ctx), Action: a.Name, Object: a.Object, Result: a.Result}
	if a.Result == "" {
		e.Result = hook.AuditAsked
	}
	if a.Tenant != nil {
		e.Tenant, e.TenantNum = a.Tenant.ID, a.Tenant.Num
	}
	for _, name := range slices.Sorted(maps.Keys(a.With)) {
		e.Changes = append(e.Changes, hook.AuditChange{Field: name, After: jsonOf(a.With[name])})
	}
	if _, err := m.Store.Configure(ctx, &store.Change{Audit: []*hook.AuditEntry{e}}); err != nil {
		return storeError("note "+a.Name, err)
	}
	return nil
}

// Noted does something that is no configuration, with an entry before, and one more
// if it fails.
func (m *Manager) Noted(ctx context.Context, a Action, do func() error) error {
	if err := m.Note(ctx, a); err != nil {
		return err
	}
	err := do()
	if err == nil {
		return nil
	}
	a.Result = hook.AuditFailed
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayRetry)
	defer cancel()
	if noting := m.Note(late, a); noting != nil {
		m.Logger.Error("the audit log does not say that something failed", "action", a.Name, "error", noting)
	}
	return err
}

// audited is one record before and after a change: nil where there is none.
type audited struct {
	kind, object  string
	tenant        string
	tenantNum     hook.TenantNum
	before, after []auditField
	gone          bool
}

// auditField is a field of a record. Values that could be secrets, or that people have
// written, are compared but not shown.
type auditField struct {
	name  string
	value any
	show  func(any) any // nil: not at all
}

// audit adds to a change the entries that tell of it.
func (m *Manager) audit(ctx context.Context, c *store.Change, what string, at time.Time) {
	if c.Note {
		return
	}
	actor := actorOf(ctx)
	c.Audit = nil
	for _, r := range m.auditedRecords(c) {
		var changes []hook.AuditChange
		if !r.gone {
			changes = fieldChanges(r.before, r.after)
		}
		if len(changes) == 0 && !r.gone && r.before != nil {
			continue
		}
		c.Audit = append(c.Audit, &hook.AuditEntry{
			At: at, Actor: actor, Action: r.action(changes), Operation: what, Tenant: r.tenant, TenantNum: r.tenantNum, Object: r.object, Changes: changes, Result: hook.AuditDone,
		})
	}
}

func (r *audited) action(changes []hook.AuditChange) string {
	switch {
	case r.gone:
		return r.kind + ".delete"
	case r.before == nil:
		return r.kind + ".create"
	case slices.ContainsFunc(changes, func(c hook.AuditChange) bool { return c.Field == secretsField }):
		return r.kind + ".secret"
	}
	return r.kind + ".update"
}

// auditedRecords finds what each record of a change was before.
func (m *Manager) auditedRecords(c *store.Change) (out []*audited) {
	for _, t := range c.Tenants {
		r := &audited{kind: "tenant", object: t.ID, tenant: t.ID, tenantNum: t.Num, after: tenantFields(t), gone: t.Deleted}
		if old, ok := m.Directory.TenantByNum(t.Num); ok && t.Num != 0 {
			r.before = tenantFields(old)
		}
		out = append(out, r)
	}
	for _, e := range c.Endpoints {
		r := &audited{kind: "endpoint", object: e.ID, tenant: e.Tenant, tenantNum: e.TenantNum, after: endpointFields(e), gone: e.Deleted}
		if old, ok := m.Directory.Endpoint(e.Num); ok && e.Num != 0 {
			r.before = endpointFields(old)
		}
		out = append(out, r)
	}
	for _, t := range c.Types {
		r := &audited{kind: "event_type", object: t.Name, after: typeFields(t), gone: t.Deleted}
		if old, ok := m.Directory.Type(t.Name); ok {
			r.before = typeFields(old)
		}
		out = append(out, r)
	}
	for _, k := range c.Keys {
		out = append(out, m.auditedKey(k))
	}
	for _, p := range c.Replays {
		if p.Deleted { // it ended long ago, and its time is over
			continue
		}
		r := &audited{kind: "replay", object: p.ID, tenant: p.Tenant, tenantNum: p.TenantNum, after: replayFields(p)}
		if old, ok := m.Directory.Replay(p.TenantNum, p.ID); ok {
			r.before = replayFields(old)
		}
		out = append(out, r)
	}
	return out
}

// auditedKey tells of a key. One of a single tenant is that tenant's to see.
func (m *Manager) auditedKey(k *hook.Key) *audited {
	r := &audited{kind: "key", object: k.ID, after: keyFields(k), gone: k.Deleted}
	if old, ok := m.Directory.KeyByID(k.ID); ok {
		r.before = keyFields(old)
	}
	if len(k.Tenants) == 1 {
		if t, ok := m.Directory.Tenant(k.Tenants[0]); ok {
			r.tenant, r.tenantNum = t.ID, t.Num
		}
	}
	return r
}

// secretsField is the field by which the change of a secret is known.
const secretsField = "secrets"

func tenantFields(t *hook.Tenant) []auditField {
	connection := "kept"
	if t.Connection != nil {
		connection = "lost"
	}
	return []auditField{
		{"name", t.Name, nil}, {"dialect", t.Dialect, asIs}, {"api_version", t.APIVersion, asIs}, {"settings", t.Settings, nil}, {secretsField, t.Secrets, nil},
		{"connection", connection, asIs}, {"quota_events", t.Quota.Events, asIs}, {"quota_pending", t.Quota.Pending, asIs},
		{"portal_links_ended", t.LinkEpoch, asIs}, {"programs", t.Programs, asIs}, {"operator", t.Operator, asIs},
	}
}

func endpointFields(e *hook.Endpoint) []auditField {
	return []auditField{
		{"url", e.URL, origin}, {"event_types", e.EventTypes, asIs}, {"dialect", e.Dialect, asIs}, {secretsField, e.Secrets, nil}, {"description", e.Description, nil},
		{"vendor_id", e.VendorID, asIs}, {"fields", e.Fields, asIs}, {"settings", e.Settings, nil}, {"headers", e.Headers, nil}, {"auth", e.Auth, authType}, {"tls", e.TLS, nil}, {"filter", e.Filter, nil}, {"transform", e.Transform, nil},
		{"schedule", e.Schedule, durations}, {"timeout", e.Timeout, duration}, {"rate_limit", e.RateLimit, asIs}, {"max_in_flight", e.MaxInFlight, asIs},
		{"ordering", e.Ordering, asIs}, {"skip_after", e.SkipAfter, asIs}, {"disable_after", e.DisableAfter, duration}, {"failing_since", e.FailingSince, instant}, {"state", e.State, asIs}, {"state_reason", e.StateReason, nil},
	}
}

func typeFields(t *hook.EventType) []auditField {
	var versions []string
	for _, v := range t.Versions {
		versions = append(versions, v.Version)
	}
	return []auditField{
		{"description", t.Description, nil}, {"group", t.Group, nil}, {"deprecated", t.Deprecated, asIs}, {"schema", t.Schema, nil}, {"validate", t.Validate, asIs}, {"versions", versions, asIs}, {"converters", t.Versions, nil}, {"transform", t.Transform, nil}, {"sample", t.Sample, nil},
	}
}

func keyFields(k *hook.Key) []auditField {
	return []auditField{{"tenants", k.Tenants, asIs}, {"scopes", k.Scopes, asIs}, {"expires_at", k.ExpiresAt, instant}}
}

func replayFields(r *hook.Replay) []auditField {
	var states []string
	for _, s := range r.Filter.States {
		states = append(states, s.String())
	}
	return []auditField{
		{"state", r.State, asIs}, {"endpoint", r.Filter.Endpoint, nil}, {"event_types", r.Filter.Types, asIs}, {"states", states, asIs},
		{"since", r.Filter.Since, instant}, {"until", r.Filter.Until, instant}, {"limit", r.Filter.Limit, asIs},
		{"events", len(r.Filter.Events), asIs}, {"rate", r.Rate, asIs},
	}
}

// fieldChanges are the fields that differ; of a new record, those that are set.
func fieldChanges(before, after []auditField) (out []hook.AuditChange) {
	for i, f := range after {
		old := auditField{value: nil}
		if before != nil {
			old = before[i]
		}
		was, is := jsonOf(old.value), jsonOf(f.value)
		if before == nil && blank(is) || bytes.Equal(was, is) || blank(was) && blank(is) {
			continue
		}
		c := hook.AuditChange{Field: f.name}
		if f.show != nil {
			c.After = jsonOf(f.show(f.value))
			if before != nil {
				c.Before = jsonOf(f.show(old.value))
			}
		}
		out = append(out, c)
	}
	return out
}

// blank reports whether a value is the one of a field that nobody has set.
func blank(v []byte) bool {
	return slices.Contains([]string{"null", "false", `""`, "0", "[]", "{}", `"0001-01-01T00:00:00Z"`}, string(v))
}

// jsonOf writes what records are made of, which has no value that JSON has not.
func jsonOf(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		b, _ = json.Marshal(fmt.Sprintf("%T", v))
	}
	return b
}

func asIs(v any) any { return v }

// origin leaves out of a URL what may be a secret or a person's: all behind the host.
func origin(v any) any {
	text, _ := v.(string)
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil
	}
	return u.Scheme + "://" + u.Host
}

func duration(v any) any {
	d, _ := v.(time.Duration)
	return d.String()
}

func durations(v any) any {
	var out []string
	list, _ := v.([]time.Duration)
	for _, d := range list {
		out = append(out, d.String())
	}
	return out
}

func instant(v any) any {
	if t, ok := v.(time.Time); ok && !t.IsZero() {
		return t.UTC().Format(time.RFC3339)
	}
	return nil
}
