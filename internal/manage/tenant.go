package manage

import (
	"context"
	"maps"
	"slices"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// The limits of a tenant's texts.
const (
	maxName        = 200
	maxAPIVersion  = 64
	maxSettings    = 64
	maxSettingName = 128
	maxSetting     = 4096
)

// TenantInput is what to make of a tenant.
type TenantInput struct {
	Name       *string
	Dialect    *string
	APIVersion *string
	Settings   *map[string]string // all of them
	// QuotaEvents and QuotaPending are as hook.Quota has them.
	QuotaEvents  *float64
	QuotaPending *int64
	Programs     *bool // keys and portal links of the tenant's own may write programs
	Operator     *bool // it is told what all tenants are told
	// Merge are settings to change beside the others; "" removes one.
	Merge map[string]string
	// Secret is the store-wide secret of the contract that the tenant's dialect is
	// of, where that signs with one; Secrets are those of others, by family.
	Secret  *hook.Secret
	Secrets map[string]hook.Secret
	Terms   Terms[hook.Tenant]
}

// TenantResult is a tenant as it is now. Secret is that of its dialect if one
// was made just now: it is not shown again.
type TenantResult struct {
	Tenant  *hook.Tenant
	Created bool
	Secret  hook.Secret
}

// PutTenant creates a tenant or changes one. A new one gets a secret for each
// dialect that signs with its tenant's.
func (m *Manager) PutTenant(ctx context.Context, id string, in TenantInput) (TenantResult, error) {
	if err := hook.ValidTenantID(id); err != nil {
		return TenantResult{}, err
	}
	var r TenantResult
	err := m.commitOr(ctx, in.Terms.DryRun, "put a tenant", func(now time.Time) (*store.Change, error) {
		old, exists := m.Directory.Tenant(id)
		if err := in.Terms.check(old); err != nil {
			return nil, err
		}
		t := hook.Tenant{ID: id, CreatedAt: now, UpdatedAt: now}
		if exists {
			t = *old
			t.UpdatedAt = touched(old.UpdatedAt, now)
		}
		r = TenantResult{Tenant: &t, Created: !exists}
		if err := m.fillTenant(&t, in); err != nil {
			return nil, err
		}
		if err := m.fillTenantSecrets(&r, in); err != nil {
			return nil, err
		}
		return &store.Change{Tenants: []*hook.Tenant{&t}}, nil
	})
	if err != nil {
		return TenantResult{}, err
	}
	if r.Created && !in.Terms.DryRun {
		m.Logger.Info("tenant created", "tenant_id", id)
	}
	return r, nil
}

func (m *Manager) fillTenant(t *hook.Tenant, in TenantInput) error {
	if in.Name != nil {
		if err := checkText("/name", *in.Name, maxName); err != nil {
			return err
		}
		t.Name = *in.Name
	}
	if in.APIVersion != nil {
		if err := checkText("/api_version", *in.APIVersion, maxAPIVersion); err != nil {
			return err
		}
		t.APIVersion = *in.APIVersion
	}
	if in.Dialect != nil {
		if *in.Dialect != "" {
			if _, err := m.dialect(*in.Dialect); err != nil {
				return err
			}
		}
		t.Dialect = *in.Dialect
	}
	if in.QuotaEvents != nil {
		t.Quota.Events = *in.QuotaEvents
	}
	if in.QuotaPending != nil {
		t.Quota.Pending = *in.QuotaPending
	}
	if in.Programs != nil {
		t.Programs = *in.Programs
	}
	if in.Operator != nil {
		t.Operator = *in.Operator
	}
	if in.Settings != nil {
		if err := checkSettings(*in.Settings); err != nil {
			return err
		}
		t.Settings = maps.Clone(*in.Settings)
	}
	return mergeSettings(t, in.Merge)
}

func mergeSettings(t *hook.Tenant, changed map[string]string) error {
	if len(changed) == 0 {
		return nil
	}
	settings := maps.Clone(t.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	maps.Copy(settings, changed)
	maps.DeleteFunc(settings, func(name, value string) bool { _, given := changed[name]; return given && value == "" })
	if err := checkSettings(settings); err != nil {
		return err
	}
	t.Settings = settings
	return nil
}

func checkSettings(settings map[string]string) error {
	if len(settings) > maxSettings {
		return hook.Invalid("/settings", "holds %d settings, at most %d are allowed", len(settings), maxSettings)
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name == "" || len(name) > maxSettingName {
			return hook.Invalid("/settings", "the name of a setting has 1 to %d bytes", maxSettingName)
		}
		if err := checkText("/settings/"+pointerToken(name), settings[name], maxSetting); err != nil {
			return err
		}
	}
	return nil
}

// Deleted says what went with a tenant, or would go.
type Deleted struct{ Endpoints, Keys int }

// DeleteTenant deletes a tenant and all that is its own: endpoints, and keys
// that are bound to nothing else. Its events stay until their retention ends.
func (m *Manager) DeleteTenant(ctx context.Context, id string, terms Terms[hook.Tenant]) (gone Deleted, err error) {
	err = m.commitOr(ctx, terms.DryRun, "delete a tenant", func(now time.Time) (c *store.Change, err error) {
		old, err := m.tenant(id)
		if err != nil {
			return nil, err
		}
		if err := terms.check(old); err != nil {
			return nil, err
		}
		c, gone = m.withoutTenant(old, now)
		return c, nil
	})
	if err == nil && !terms.DryRun {
		m.Logger.Info("tenant deleted", "tenant_id", id)
	}
	return gone, err
}

// withoutTenant is the change that deletes a tenant.
func (m *Manager) withoutTenant(old *hook.Tenant, now time.Time) (c *store.Change, gone Deleted) {
	t := *old
	t.Deleted, t.UpdatedAt, t.Secrets, t.SecretMarks = true, touched(old.UpdatedAt, now), nil, nil
	c = &store.Change{Tenants: []*hook.Tenant{&t}}
	for _, e := range m.Directory.Endpoints(t.ID) {
		c.Endpoints = append(c.Endpoints, tombstone(e, now, "its tenant was deleted"))
	}
	for _, k := range m.Directory.Keys() {
		if i := slices.Index(k.Tenants, t.ID); i >= 0 {
			left := without(k, i)
			c.Keys = append(c.Keys, left)
			if left.Deleted {
				gone.Keys++
			}
		}
	}
	gone.Endpoints = len(c.Endpoints)
	c.Replays = m.endReplays(t.Num, now)
	return c, gone
}

// without is a key that is not bound to its i-th tenant any more. A key that
// would be bound to none is revoked, for it would cover all of them.
func without(k *hook.Key, i int) *hook.Key {
	c := *k
	c.Tenants = slices.Delete(slices.Clone(k.Tenants), i, i+1)
	if len(c.Tenants) == 0 {
		c.Tenants, c.Deleted = k.Tenants, true
	}
	return &c
}
