package vendors

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// control is what one request to a vendor's API can see and do.
type control struct {
	h  *Host
	of *vendor
	c  *call
}

func (k *control) told(err error) error { return k.h.told(k.c, err) }

// Caller recognises who calls.
func (k *control) Caller(r *http.Request, key hook.Secret) (dialect.Caller, error) {
	p, err := k.h.Callers.Key(k.c.Header(), r, key)
	k.c.caller = p
	if err == nil {
		err = p.May(hook.ScopeManage, "")
	}
	if err != nil {
		return nil, k.told(err)
	}
	k.c.actor = p.Actor()
	k.c.actor.Kind, k.c.actor.Contract = hook.ActorVendor, k.of.family
	k.c.actor.Address, k.c.actor.Request = k.h.Callers.Client(r).String(), k.c.id
	return &caller{k, p}, nil
}

// Types are the events that can be subscribed to.
func (k *control) Types() []string {
	d := k.of.Dialects[0]
	out := d.Catalogue()
	var besides []string
	for _, t := range k.h.Directory.Types() {
		if name := d.EventName(t.Name); !slices.Contains(out, name) && !slices.Contains(besides, name) {
			besides = append(besides, name)
		}
	}
	slices.Sort(besides)
	return append(out, besides...)
}

// PublicURL is the server's address in links.
func (k *control) PublicURL() string { return k.h.linkBase() }

// Now is the time.
func (k *control) Now() time.Time { return k.h.Now() }

// caller is somebody with a key.
type caller struct {
	*control
	p *auth.Principal
}

// Only is the account of a key that is bound to one tenant.
func (c *caller) Only() (dialect.Account, error) {
	tenant, ok := c.p.Only()
	if !ok {
		return nil, hook.Errorf(hook.CodeForbidden, "this key is not bound to one tenant, so that it does not say whose hooks are meant: use a key of the tenant")
	}
	return c.Account(tenant)
}

// Account is a tenant's.
func (c *caller) Account(tenant string) (dialect.Account, error) {
	if err := c.p.May(hook.ScopeManage, tenant); err != nil {
		return nil, c.told(err)
	}
	t, ok := c.h.Directory.Tenant(tenant)
	if !ok {
		return nil, c.told(auth.NoTenant(tenant))
	}
	return &account{control: c.control, t: t}, nil
}

// ByNumber is the account whose tenant has a number in bodies.
func (c *caller) ByNumber(number string) (dialect.Account, error) {
	var all, own []*hook.Tenant // own: those that speak the contract
	for _, t := range c.h.Directory.Tenants() {
		if !c.p.Sees(t.ID) || numberOf(t) != number {
			continue
		}
		all = append(all, t)
		if hook.FamilyOf(c.h.Manager.DialectOf(t)) == c.of.family {
			own = append(own, t)
		}
	}
	if len(own) > 0 {
		all = own
	}
	if len(all) != 1 {
		return nil, hook.Errorf(hook.CodeNotFound, "there is no tenant with the number %q that the key covers, or there are several", hook.Clip(number))
	}
	return &account{control: c.control, t: all[0]}, nil
}

// numberOf is what {tenant.vendor_id} is in bodies.
func numberOf(t *hook.Tenant) string {
	if id, ok := t.Settings["vendor_id"]; ok {
		return id
	}
	return strconv.FormatInt(int64(t.Num), 10)
}

// BySecret is the account whose tenant has a secret. The answer is the same for
// one that is nobody's and for one that is not the caller's.
func (c *caller) BySecret(secret hook.Secret) (dialect.Account, error) {
	t, ok := c.h.Manager.TenantBySecret(c.of.family, secret)
	if !ok || !c.p.Sees(t.ID) {
		return nil, hook.Errorf(hook.CodeNotFound, "there is no tenant with this secret, or the key does not cover it")
	}
	return &account{control: c.control, t: t}, nil
}

// accounts are all that the key covers.
func (c *caller) accounts() (out []*account) {
	for _, t := range c.h.Directory.Tenants() {
		if c.p.Sees(t.ID) {
			out = append(out, &account{control: c.control, t: t})
		}
	}
	return out
}

// byVendorID orders hooks: numbers by their value, others by age.
func byVendorID(a, b *hook.Endpoint) int {
	m, err := strconv.ParseInt(a.VendorID, 10, 64)
	n, other := strconv.ParseInt(b.VendorID, 10, 64)
	if err != nil || other != nil {
		m, n = 0, 0
	}
	return cmp.Or(cmp.Compare(m, n), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Num, b.Num))
}
