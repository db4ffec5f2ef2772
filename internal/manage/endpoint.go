package manage

import (
	"context"
	"strings"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// EndpointInput is what to make of an endpoint. A pointer to a zero value sets
// a field back to what it is without being given.
type EndpointInput struct {
	URL        *string
	EventTypes *[]string // empty: all types
	Dialect    *string   // only while it is created
	VendorID   *string   // only while it is created; nil: the next one
	Secret     *hook.Secret
	// Replace lets Secret take the place of the one that an endpoint has, at once
	// and without an overlap; "" leaves it with none.
	Replace     bool
	Description *string
	Fields      *[]string          // of the data that it gets; empty: all
	Settings    *map[string]string // all of them
	Headers     *[]hook.Header     // all of them
	Auth        *AuthInput         // all of it; nil inside: none
	TLS         *TLSInput          // all of it; nil inside: none
	Filter      *[]byte            // condition tree as JSON; empty: none
	Transform   *string            // a jq program; "": none
	Schedule    *[]time.Duration   // empty: no retries; nil inside: the dialect's
	Timeout     *time.Duration     // 0: the dialect's
	RateLimit   *float64           // requests per second; 0: none
	MaxInFlight *int               // 0: the server's
	Ordering    *hook.Ordering
	SkipAfter   *int // failed attempts of one delivery; 0: those behind it wait for it
	// DisableAfter is for how long all attempts may fail until it is disabled; 0:
	// for ever.
	DisableAfter *time.Duration
	State        *hook.EndpointState
	Terms        Terms[hook.Endpoint]
	Keep         Keep[hook.Endpoint] // only while it is created

	peers func() []*hook.Endpoint // that a contract's limit counts; nil: those of the directory
}

// CreateEndpoint makes an endpoint of a tenant. The secret is that which signs
// for it, to be shown this once; "" where the endpoint has none of its own.
func (m *Manager) CreateEndpoint(ctx context.Context, tenant string, in EndpointInput) (*hook.Endpoint, hook.Secret, error) {
	if err := m.checkTransform(ctx, tenant, in.Transform); err != nil {
		return nil, "", err
	}
	var e *hook.Endpoint
	var secret hook.Secret
	err := m.commit(ctx, "create an endpoint", func(now time.Time) (*store.Change, error) {
		t, err := m.tenant(tenant)
		if err != nil {
			return nil, err
		}
		if e, secret, err = m.newEndpoint(t, hook.NewID(endpointPrefix), in, now); err != nil {
			return nil, err
		}
		return in.Keep.join(&store.Change{Endpoints: []*hook.Endpoint{e}}, e, secret), nil
	})
	if err != nil {
		return nil, "", err
	}
	m.endpointCreated(e)
	return e, secret, nil
}

func (m *Manager) endpointCreated(e *hook.Endpoint) {
	m.Logger.Info("endpoint created", "endpoint_id", e.ID, "tenant_id", e.Tenant, "dialect", e.Dialect)
}

// newEndpoint makes an endpoint that is not stored yet.
func (m *Manager) newEndpoint(t *hook.Tenant, id string, in EndpointInput, now time.Time) (*hook.Endpoint, hook.Secret, error) {
	if n := m.Directory.EndpointCount(t.ID); n >= m.MaxEndpoints {
		return nil, "", hook.Errorf(hook.CodeConflict, "the tenant has %d endpoints already, which is the limit", n)
	}
	if in.URL == nil {
		return nil, "", hook.Invalid("/url", "is missing")
	}
	e := &hook.Endpoint{
		ID: id, Tenant: t.ID, TenantNum: t.Num, Dialect: m.DialectOf(t),
		State: hook.EndpointActive, StateAt: now, CreatedAt: now, UpdatedAt: now,
	}
	if in.Dialect != nil && *in.Dialect != "" {
		e.Dialect = *in.Dialect
	}
	if err := m.fillEndpoint(e, in, now); err != nil {
		return nil, "", err
	}
	if err := m.giveVendorID(e, in.VendorID); err != nil {
		return nil, "", err
	}
	if err := m.sealHeaders(e); err != nil {
		return nil, "", err
	}
	secret, err := m.firstSecret(e, in.Secret, now)
	return e, secret, err
}

// UpdateEndpoint changes an endpoint. State active also ends a disabling by
// us.
func (m *Manager) UpdateEndpoint(ctx context.Context, tenant, id string, in EndpointInput) (*hook.Endpoint, error) {
	if in.Secret != nil && !in.Replace {
		return nil, hook.Invalid("/secret", "is changed by POST .../secret/rotate")
	}
	if err := m.checkTransform(ctx, tenant, in.Transform); err != nil {
		return nil, err
	}
	var was hook.EndpointState
	e, err := m.changeEndpoint(ctx, tenant, id, in.Terms, nil, func(e *hook.Endpoint, now time.Time) error {
		was = e.State
		return m.refill(e, in, now)
	})
	if err == nil && !in.Terms.DryRun {
		m.endpointChanged(e, was)
	}
	return e, err
}

// refill changes an endpoint that there is already.
func (m *Manager) refill(e *hook.Endpoint, in EndpointInput, now time.Time) error {
	if in.Dialect != nil && *in.Dialect != e.Dialect {
		return hook.Invalid("/dialect", "cannot change: waiting deliveries are made for %q. Create another endpoint", e.Dialect)
	}
	if in.VendorID != nil && !strings.EqualFold(*in.VendorID, e.VendorID) {
		return hook.Invalid("/vendor_id", "cannot change: receivers know the endpoint by it")
	}
	if err := m.fillEndpoint(e, in, now); err != nil {
		return err
	}
	if in.Secret != nil && in.Replace {
		if err := m.replaceSecret(e, *in.Secret, now); err != nil {
			return err
		}
	}
	return m.sealHeaders(e)
}

func (m *Manager) endpointChanged(e *hook.Endpoint, was hook.EndpointState) {
	if e.State != was {
		m.Logger.Info("endpoint changed state", "endpoint_id", e.ID, "tenant_id", e.Tenant, "state", e.State)
	}
}

// changeEndpoint stores a changed copy of an endpoint. with, if not nil, adds to
// what is stored.
func (m *Manager) changeEndpoint(ctx context.Context, tenant, id string, terms Terms[hook.Endpoint], with func(*store.Change, *hook.Endpoint), change func(e *hook.Endpoint, now time.Time) error) (*hook.Endpoint, error) {
	var e hook.Endpoint
	err := m.commitOr(ctx, terms.DryRun, "change an endpoint", func(now time.Time) (*store.Change, error) {
		old, err := m.endpoint(tenant, id)
		if err != nil {
			return nil, err
		}
		if err := terms.check(old); err != nil {
			return nil, err
		}
		changed := *old // a fresh copy for each try: a store may still read the last one
		changed.UpdatedAt = touched(old.UpdatedAt, now)
		if err := change(&changed, now); err != nil {
			return nil, err
		}
		if err := m.sealHeaders(&changed); err != nil {
			return nil, err
		}
		e = changed
		c := &store.Change{Endpoints: []*hook.Endpoint{&changed}}
		if with != nil {
			with(c, &changed)
		}
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return &e, nil
}

// DeleteEndpoint deletes an endpoint. What waits for it is cancelled. One that
// was deleted before stays so, and that is no error.
func (m *Manager) DeleteEndpoint(ctx context.Context, tenant, id string, terms Terms[hook.Endpoint]) error {
	err := m.commitOr(ctx, terms.DryRun, "delete an endpoint", func(now time.Time) (*store.Change, error) {
		e, err := m.endpoint(tenant, id)
		if err != nil {
			if m.Directory.EndpointDeleted(tenant, id) {
				return nil, terms.check(nil)
			}
			return nil, err
		}
		if err := terms.check(e); err != nil {
			return nil, err
		}
		return &store.Change{Endpoints: []*hook.Endpoint{tombstone(e, now, "")}}, nil
	})
	if err == nil && !terms.DryRun {
		m.Logger.Info("endpoint deleted", "endpoint_id", id, "tenant_id", tenant)
	}
	return err
}

// DisableEndpoint stops deliveries to an endpoint, as its dialect's answer to
// what the receiver said. One that is deleted or disabled stays as it is.
func (m *Manager) DisableEndpoint(ctx context.Context, num hook.EndpointNum, reason string) error {
	return m.changeByNum(ctx, "disable an endpoint", num, NoticeDisabled, func(e *hook.Endpoint, now time.Time) *hook.Endpoint {
		if e.State == hook.EndpointDisabled {
			return nil
		}
		changed := *e
		changed.State, changed.StateReason, changed.StateAt, changed.UpdatedAt = hook.EndpointDisabled, reason, touched(e.StateAt, now), touched(e.UpdatedAt, now)
		m.Logger.Info("endpoint disabled", "endpoint_id", e.ID, "tenant_id", e.Tenant, "reason", reason)
		return &changed
	})
}

// Unsubscribe deletes an endpoint, as its dialect's answer to what the
// receiver said.
func (m *Manager) Unsubscribe(ctx context.Context, num hook.EndpointNum, reason string) error {
	return m.changeByNum(ctx, "unsubscribe an endpoint", num, NoticeRemoved, func(e *hook.Endpoint, now time.Time) *hook.Endpoint {
		m.Logger.Info("endpoint unsubscribed", "endpoint_id", e.ID, "tenant_id", e.Tenant, "reason", reason)
		return tombstone(e, now, reason)
	})
}

// changeByNum makes a change that the server itself has decided on, and tells
// the tenant of it.
func (m *Manager) changeByNum(ctx context.Context, what string, num hook.EndpointNum, notice string, change func(e *hook.Endpoint, now time.Time) *hook.Endpoint) error {
	changed, err := m.changeOwn(ctx, what, num, func(e *hook.Endpoint, now time.Time) (*hook.Endpoint, bool) {
		changed := change(e, now)
		return changed, changed != nil
	})
	if err == nil && changed != nil {
		m.tellOf(ctx, notice, changed)
	}
	return err
}

// changeOwn makes a change of an endpoint that the server itself has decided on,
// and returns what change made. change says whether that is to be stored.
func (m *Manager) changeOwn(ctx context.Context, what string, num hook.EndpointNum, change func(e *hook.Endpoint, now time.Time) (*hook.Endpoint, bool)) (changed *hook.Endpoint, err error) {
	err = m.commit(ctx, what, func(now time.Time) (*store.Change, error) {
		e, ok := m.Directory.Endpoint(num)
		if !ok {
			return nil, hook.Errorf(hook.CodeNotFound, "there is no endpoint number %d", num)
		}
		stores := false
		if changed = nil; !e.Deleted {
			changed, stores = change(e, now)
		}
		if !stores {
			return nil, nil
		}
		if err := m.sealHeaders(changed); err != nil {
			return nil, err
		}
		return &store.Change{Endpoints: []*hook.Endpoint{changed}}, nil
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// tombstone is a deleted endpoint. It keeps what its deliveries are shown
// with, and no secret.
func tombstone(e *hook.Endpoint, now time.Time, reason string) *hook.Endpoint {
	t := *e
	t.Deleted, t.UpdatedAt, t.StateAt = true, touched(e.UpdatedAt, now), touched(e.StateAt, now)
	t.StateReason = reason
	t.Secrets, t.Headers, t.Auth, t.TLS = nil, nil, nil, nil
	return &t
}
