package manage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// storeDialects are the dialects that sign with a tenant's secret: the first
// one of each family.
func (m *Manager) storeDialects() []*dialect.Dialect {
	var out []*dialect.Dialect
	seen := map[string]bool{}
	for _, name := range m.Dialects.Names() { // sorted: the family's own stands before its variants
		d, ok := m.Dialects.Get(name)
		if ok && d.SecretOwner() == dialect.SecretTenant && !seen[d.Family()] {
			seen[d.Family()] = true
			out = append(out, d)
		}
	}
	return out
}

// fillTenantSecrets gives the tenant a secret for each contract that wants one
// of it and that it has none for, and sets those that are given.
func (m *Manager) fillTenantSecrets(r *TenantResult, in TenantInput) error {
	t := r.Tenant
	own, err := m.dialect(m.DialectOf(t))
	if err != nil {
		return err
	}
	given := maps.Clone(in.Secrets)
	if in.Secret != nil {
		if own.SecretOwner() != dialect.SecretTenant {
			return &hook.Error{Code: CodeUnsuitable, Field: "/secret", Message: "the dialect " + own.Name() + " has no secret of the tenant: give each endpoint its own"}
		}
		given = maps.Clone(given)
		if given == nil {
			given = map[string]hook.Secret{}
		}
		given[own.Family()] = *in.Secret
	}
	secrets, marks := maps.Clone(t.Secrets), maps.Clone(t.SecretMarks)
	for _, d := range m.storeDialects() {
		family := d.Family()
		secret, set := given[family]
		delete(given, family)
		if !set && secrets[family] != "" {
			continue
		}
		if secret, err = newOrGiven(d, &secret, set); err != nil {
			return err
		}
		if secrets == nil {
			secrets = map[string]hook.Sealed{}
		}
		if secrets[family], err = m.Ring.Seal(secret, t.ID, tenantRecord(family)); err != nil {
			return err
		}
		if marks, err = m.markSecret(t, marks, d, secret); err != nil {
			return err
		}
		if family == own.Family() {
			r.Secret = secret
		}
	}
	for family := range given {
		return &hook.Error{Code: CodeUnsuitable, Field: "/secret", Message: "the dialect " + family + " has no secret of the tenant"}
	}
	t.Secrets, t.SecretMarks = secrets, marks
	return nil
}

// markSecret notes by what the tenant is found by a secret of a contract that
// has it unique. It is an error if another tenant has the same.
func (m *Manager) markSecret(t *hook.Tenant, marks map[string]string, d *dialect.Dialect, secret hook.Secret) (map[string]string, error) {
	if !d.SecretUnique() {
		return marks, nil
	}
	own, err := m.secretMarks(d.Family(), secret)
	if err != nil {
		return nil, err
	}
	if other, taken := m.tenantByMark(d.Family(), own); taken && other.ID != t.ID {
		return nil, &hook.Error{Code: hook.CodeConflict, Field: "/secret", Message: "another tenant has this secret, and in the dialect " + d.Name() + " it says which tenant is meant: no two can have the same"}
	}
	if marks == nil {
		marks = map[string]string{}
	}
	marks[d.Family()] = own[0]
	return marks, nil
}

// secretMarks are by what a tenant is found by its secret, one for each key of the
// ring: whoever has the data without the key learns nothing of the secret from them.
// The first one is what is stored; where keys are being changed, other servers may
// have stored another.
func (m *Manager) secretMarks(family string, secret hook.Secret) ([]string, error) {
	keys, err := m.markKeys()
	if err != nil {
		return nil, err
	}
	marks := make([]string, len(keys))
	for i, key := range keys {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(family))
		h.Write([]byte{0})
		h.Write([]byte(secret))
		marks[i] = hex.EncodeToString(h.Sum(nil))
	}
	return marks, nil
}

// tenantByMark finds the live tenant that has one of these marks.
func (m *Manager) tenantByMark(family string, marks []string) (*hook.Tenant, bool) {
	for _, mark := range marks {
		if t, ok := m.Directory.TenantBySecretMark(family, mark); ok {
			return t, true
		}
	}
	return nil, false
}

// TenantBySecret finds the live tenant that has a secret for a contract whose
// secrets are unique.
func (m *Manager) TenantBySecret(family string, secret hook.Secret) (*hook.Tenant, bool) {
	if secret == "" {
		return nil, false
	}
	marks, err := m.secretMarks(family, secret)
	if err != nil { // they were made before
		return nil, false
	}
	return m.tenantByMark(family, marks)
}

// StoreSecret opens a tenant's secret for a contract; "" if it has none.
func (m *Manager) StoreSecret(t *hook.Tenant, family string) (hook.Secret, error) {
	if t.Secrets[family] == "" {
		return "", nil
	}
	return m.Ring.Open(t.Secrets[family], t.ID, tenantRecord(family))
}

// EndpointSecret opens the newest secret that signs for an endpoint alone; ""
// if it has none.
func (m *Manager) EndpointSecret(e *hook.Endpoint) (hook.Secret, error) {
	if len(e.Secrets) == 0 || !e.Secrets[0].ExpiresAt.IsZero() && !e.Secrets[0].ExpiresAt.After(now()) {
		return "", nil
	}
	return m.Ring.Open(e.Secrets[0].Sealed, e.Tenant, e.ID)
}

// Complete gives tenants and endpoints what this version of the program wants
// of them and an earlier one did not: secrets of contracts that are new, marks
// of secrets (also where the keyring has another first key), and vendors' ids.
// It returns how many records it changed; what an error leaves over, the next
// call does. Nobody asked for it, so their UpdatedAt stays.
func (m *Manager) Complete(ctx context.Context) (changed int, err error) {
	for left := m.Directory.TenantIDs(); len(left) > 0; {
		var n int
		if n, left, err = m.completeSome(ctx, left); err != nil {
			return changed, err
		}
		changed += n
	}
	return changed, nil
}

// completedAtOnce is how many records one change of Complete has, about: all of
// them would be in memory at once, several times.
const completedAtOnce = 2000

// completeSome completes the first ones of these tenants, and says which are left.
func (m *Manager) completeSome(ctx context.Context, ids []string) (changed int, left []string, err error) {
	err = m.commit(ctx, "complete the configuration", func(time.Time) (*store.Change, error) {
		var c store.Change
		given := map[string]int64{}
		for left = ids; len(left) > 0 && len(c.Tenants)+len(c.Endpoints) < completedAtOnce; left = left[1:] {
			if err := m.completeTenant(&c, left[0], given); err != nil {
				return nil, err
			}
		}
		if changed = len(c.Tenants) + len(c.Endpoints); changed == 0 {
			return nil, nil
		}
		return &c, nil
	})
	return changed, left, err
}

// completeTenant adds to a change what a tenant and its endpoints lack. given
// counts the ids that the change gives, by family.
func (m *Manager) completeTenant(c *store.Change, id string, given map[string]int64) error {
	t, ok := m.Directory.Tenant(id)
	if !ok {
		return nil
	}
	complete, err := m.completed(t)
	if err != nil {
		return err
	}
	if complete != nil {
		c.Tenants = append(c.Tenants, complete)
	}
	for _, num := range m.nameless(id) {
		e, _ := m.Directory.Endpoint(num)
		d, ok := m.Dialects.Get(e.Dialect)
		if !ok {
			continue
		}
		given[d.Family()]++
		named := *e
		named.VendorID = m.nextVendorID(d.Family(), d.IDs(), given[d.Family()])
		c.Endpoints = append(c.Endpoints, &named)
	}
	return nil
}

// nameless are a tenant's endpoints that their dialect wants an id of its own
// for, and that have none.
func (m *Manager) nameless(tenant string) (nums []hook.EndpointNum) {
	m.Directory.Outlines(tenant, func(o *directory.Outline) {
		if d, ok := m.Dialects.Get(o.Dialect); ok && !o.HasVendorID() && d.IDs() != dialect.OwnIDs {
			nums = append(nums, o.Num)
		}
	})
	return nums
}

// completed is a tenant with all secrets and marks; nil: it has them. A secret
// that cannot be opened, or that another tenant has too, is no reason not to
// start: it is logged, and the tenant is not found by it.
func (m *Manager) completed(old *hook.Tenant) (*hook.Tenant, error) {
	t := *old
	for _, d := range m.storeDialects() {
		family := d.Family()
		if t.Secrets[family] == "" {
			if err := m.newStoreSecret(&t, d); err != nil {
				return nil, err
			}
		}
		if !d.SecretUnique() {
			continue
		}
		secret, err := m.StoreSecret(&t, family)
		if err == nil {
			var marks map[string]string
			if marks, err = m.markSecret(&t, maps.Clone(t.SecretMarks), d, secret); err == nil {
				t.SecretMarks = marks
			}
		}
		if err != nil {
			m.Logger.Error("a tenant cannot be found by its secret", "tenant_id", t.ID, "dialect", family, "error", err)
		}
	}
	if len(t.Secrets) == len(old.Secrets) && maps.Equal(t.SecretMarks, old.SecretMarks) {
		return nil, nil
	}
	return &t, nil
}

func (m *Manager) newStoreSecret(t *hook.Tenant, d *dialect.Dialect) error {
	secret, err := d.NewSecret()
	if err != nil {
		return err
	}
	sealed, err := m.Ring.Seal(secret, t.ID, tenantRecord(d.Family()))
	if err != nil {
		return err
	}
	secrets := maps.Clone(t.Secrets)
	if secrets == nil {
		secrets = map[string]hook.Sealed{}
	}
	secrets[d.Family()] = sealed
	t.Secrets = secrets
	return nil
}
