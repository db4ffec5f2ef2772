package manage

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// MaxImport is how many records Import takes at once.
const MaxImport = 1000

// ImportRecord is one thing that is to be here as it was elsewhere: exactly one
// of its fields is set.
type ImportRecord struct {
	Tenant *ImportTenant
	Key    *ImportKey
	Hook   *ImportHook
	// Err says why a record could not be read. It is refused for that.
	Err error
}

// ImportTenant is a tenant with its store-wide secret. Terms are not used.
type ImportTenant struct {
	ID string
	TenantInput
}

// ImportKey is an API key that callers have already. Keep and ExpiresAt are not
// used.
type ImportKey struct{ KeyInput }

// ImportHook is a hook of a vendor's. By VendorID it is found again; for a
// dialect without ids of its own it is the endpoint's id. State may be
// EndpointDisabled too. Terms and Keep are not used.
type ImportHook struct {
	Tenant string
	EndpointInput
	CreatedAt *time.Time
}

func (in *ImportHook) id() string {
	if in.VendorID == nil {
		return ""
	}
	return *in.VendorID
}

// ImportOutcome says what became of a record.
type ImportOutcome string

// The outcomes.
const (
	ImportCreated   ImportOutcome = "created"
	ImportUpdated   ImportOutcome = "updated"
	ImportUnchanged ImportOutcome = "unchanged" // it was here already, with all that the record says
	ImportRefused   ImportOutcome = "refused"
)

// Imported is what became of a record.
type Imported struct {
	Outcome  ImportOutcome
	Tenant   string // of a tenant or hook
	ID       string // of the endpoint or key
	VendorID string
	Err      *hook.Error // why it was refused
}

// Import takes records over from elsewhere. Each has a result of its own, in
// order; those that are refused leave the others as they are. A record says
// what a thing is like: done again, it changes nothing. The tenants are one
// change, all else is another, however many records there are.
func (m *Manager) Import(ctx context.Context, records []ImportRecord, dry bool) ([]Imported, error) {
	if len(records) > MaxImport {
		return nil, hook.Errorf(hook.CodeTooLarge, "the request holds %d records, at most %d are allowed", len(records), MaxImport)
	}
	out := make([]Imported, len(records))
	passes := []func(*ImportRecord) bool{
		func(r *ImportRecord) bool { return r.Tenant != nil },
		func(r *ImportRecord) bool { return r.Tenant == nil },
	}
	if dry { // nothing is stored between the passes
		passes = []func(*ImportRecord) bool{func(*ImportRecord) bool { return true }}
	}
	for _, in := range passes {
		if !slices.ContainsFunc(records, func(r ImportRecord) bool { return in(&r) }) {
			continue
		}
		err := m.commitOr(ctx, dry, "import", func(now time.Time) (*store.Change, error) {
			return m.importPass(records, in, out, now)
		})
		if err != nil {
			return nil, err
		}
	}
	if !dry {
		count := map[ImportOutcome]int{}
		for i := range out {
			count[out[i].Outcome]++
		}
		m.Logger.Info("imported", "created", count[ImportCreated], "updated", count[ImportUpdated], "unchanged", count[ImportUnchanged], "refused", count[ImportRefused])
	}
	return out, nil
}

// importPass makes one change of those records that are in it: tenants first,
// so that a tenant may come behind what belongs to it.
func (m *Manager) importPass(records []ImportRecord, in func(*ImportRecord) bool, out []Imported, now time.Time) (*store.Change, error) {
	i := &importing{Manager: m, now: now, tenants: map[string]*hook.Tenant{}, marks: map[string]string{}, endpoints: map[string]*hook.Endpoint{},
		keys: map[[32]byte]*hook.Key{}, first: map[string]int{}, live: map[string]int{}, taken: len(m.Directory.Keys())}
	for _, tenants := range []bool{true, false} {
		for at := range records {
			r := &records[at]
			if !in(r) || tenants != (r.Tenant != nil) {
				continue
			}
			var err error
			i.at = at
			if out[at], err = i.record(r); err == nil {
				continue
			}
			var refused *hook.Error
			if !errors.As(err, &refused) || refused.Code == hook.CodeInternal || refused.Code == hook.CodeUnavailable {
				return nil, err
			}
			out[at].Outcome, out[at].Err = ImportRefused, refused
		}
	}
	if len(i.change.Tenants)+len(i.change.Endpoints)+len(i.change.Keys) == 0 {
		return nil, nil
	}
	return &i.change, nil
}

// importing is a change on the way. What it holds stands before what the
// directory has: a later record of the same thing is one more change of it.
type importing struct {
	*Manager
	now       time.Time
	change    store.Change
	tenants   map[string]*hook.Tenant   // by id
	marks     map[string]string         // tenants by the marks of their secrets
	endpoints map[string]*hook.Endpoint // by foundBy
	keys      map[[32]byte]*hook.Key
	at        int            // which record it is at
	first     map[string]int // where a hook or key came first
	live      map[string]int // endpoints of a tenant
	taken     int            // keys that there are
}

func (i *importing) record(r *ImportRecord) (Imported, error) {
	switch {
	case r.Tenant != nil:
		return i.tenant(r.Tenant)
	case r.Key != nil && r.Err == nil:
		return i.key(r.Key)
	case r.Hook != nil && r.Err == nil:
		return i.hook(r.Hook)
	}
	return Imported{}, r.Err
}

func (i *importing) findTenant(id string) (*hook.Tenant, bool) {
	if t := i.tenants[id]; t != nil {
		return t, true
	}
	return i.Directory.Tenant(id)
}

func (i *importing) tenant(in *ImportTenant) (Imported, error) {
	out := Imported{Tenant: in.ID}
	if err := hook.ValidTenantID(in.ID); err != nil {
		return out, under("/tenant", err)
	}
	old, exists := i.findTenant(in.ID)
	t := hook.Tenant{ID: in.ID, CreatedAt: i.now, UpdatedAt: i.now}
	if exists {
		t = *old
		t.UpdatedAt = touched(old.UpdatedAt, i.now)
	}
	if err := i.fillTenant(&t, in.TenantInput); err != nil {
		return out, err
	}
	given := in.Secret
	if given != nil && i.isTenantSecret(&t, *given) {
		given = nil
	}
	if err := i.fillTenantSecrets(&TenantResult{Tenant: &t}, TenantInput{Secret: given, Secrets: in.Secrets}); err != nil {
		return out, err
	}
	if exists && sameTenant(old, &t) {
		out.Outcome = ImportUnchanged
		return out, nil
	}
	for family, mark := range t.SecretMarks {
		switch owner, taken := i.marks[family+" "+mark]; {
		case taken && owner != t.ID:
			return out, hook.Invalid("/secret", "is that of another tenant in this import, and no two tenants may have the same")
		default:
			i.marks[family+" "+mark] = t.ID
		}
	}
	out.Outcome = ImportUpdated
	if !exists {
		out.Outcome = ImportCreated
	}
	i.change.Tenants = put(i.change.Tenants, i.tenants[t.ID], &t)
	i.tenants[t.ID] = &t
	return out, nil
}

// isTenantSecret reports whether a secret is the one that a tenant has for its
// own dialect.
func (i *importing) isTenantSecret(t *hook.Tenant, given hook.Secret) bool {
	d, err := i.dialect(i.DialectOf(t))
	if err != nil || d.SecretOwner() != dialect.SecretTenant {
		return false
	}
	has, err := i.Ring.Open(t.Secrets[d.Family()], t.ID, tenantRecord(d.Family()))
	return err == nil && has == given
}

func sameTenant(a, b *hook.Tenant) bool {
	return a.Name == b.Name && a.Dialect == b.Dialect && a.APIVersion == b.APIVersion && a.Quota == b.Quota && maps.Equal(a.Settings, b.Settings) && maps.Equal(a.Secrets, b.Secrets)
}

// put adds a record to those of a change, in the place of what it was before in
// the same change.
func put[T any](all []*T, before, now *T) []*T {
	if at := slices.Index(all, before); before != nil && at >= 0 {
		all[at] = now
		return all
	}
	return append(all, now)
}

func (i *importing) key(in *ImportKey) (Imported, error) {
	if in.Key == nil {
		return Imported{}, hook.Invalid("/key", "is missing: it is the key that callers have")
	}
	text, err := keyText(in.Key)
	if err != nil {
		return Imported{}, err
	}
	if slices.Contains(in.Scopes, hook.ScopeAdmin) {
		return Imported{}, hook.Invalid("/scopes", "an import makes no admin keys: use POST /v1/keys")
	}
	if err := checkKeyTerms(in.KeyInput, i.now, func(id string) bool { _, ok := i.findTenant(id); return ok }); err != nil {
		return Imported{}, err
	}
	hash := sha256.Sum256([]byte(text))
	old := i.keys[hash]
	if old == nil {
		old, _ = i.Directory.Key(hash)
	}
	k := newKey(text, true, i.now)
	out := Imported{Outcome: ImportCreated, ID: k.ID}
	switch {
	case old == nil && i.taken >= maxKeysAtOnce:
		return Imported{}, hook.Errorf(hook.CodeConflict, "there are %d keys already, which is the limit: revoke some", i.taken)
	case old == nil:
		i.taken++
	case slices.Contains(old.Scopes, hook.ScopeAdmin):
		return Imported{}, hook.Invalid("/key", "is an admin key of this server, which an import does not change")
	case sameSet(old.Tenants, in.Tenants) && sameSet(old.Scopes, in.Scopes):
		i.isFirst(string(hash[:]))
		return Imported{Outcome: ImportUnchanged, ID: old.ID}, nil
	case !i.isFirst(string(hash[:])):
		return Imported{}, hook.Invalid("/key", "is that of record %d of this request, with other tenants or scopes: one record names all tenants of a key", i.first[string(hash[:])]+1)
	case !covers(old.Tenants, in.Tenants) && !covers(in.Tenants, old.Tenants):
		return Imported{}, hook.Invalid("/key", "is bound to %s here, and is not bound to others by an import: name those too, or revoke it before", hook.Clip(strings.Join(old.Tenants, ", ")))
	default:
		changed := *old
		k, out = &changed, Imported{Outcome: ImportUpdated, ID: old.ID}
	}
	i.isFirst(string(hash[:]))
	k.Tenants, k.Scopes = slices.Clone(in.Tenants), slices.Clone(in.Scopes)
	i.change.Keys = put(i.change.Keys, i.keys[hash], k)
	i.keys[hash] = k
	return out, nil
}

// isFirst notes where a hook or key comes first, and reports whether that is
// here.
func (i *importing) isFirst(name string) bool {
	first, there := i.first[name]
	if !there {
		i.first[name] = i.at
	}
	return !there || first == i.at
}

// covers reports whether all tenants of a key are among those of another; none
// stands for all.
func covers(all, some []string) bool {
	return len(all) == 0 || len(some) > 0 && !slices.ContainsFunc(some, func(t string) bool { return !slices.Contains(all, t) })
}

// sameSet compares lists in which nothing is twice.
func sameSet[T comparable](a, b []T) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(v T) bool { return !slices.Contains(b, v) })
}
