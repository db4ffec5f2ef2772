package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"grapnel/internal/hook"
)

// Keys finds live keys by their hash. The directory is one.
type Keys interface {
	Key(hash [32]byte) (*hook.Key, bool)
}

// Config is what an Authenticator needs.
type Config struct {
	Keys Keys // required
	// Current, if set, is asked before each decision: an error says that Keys may
	// be out of date (a revoked key must not work for long, case 95), and the
	// caller is told to come back.
	Current func() error
	// Links, if set, are made and recognised, too.
	Links *Links
}

// Authenticator recognises callers.
type Authenticator struct {
	keys    Keys
	current func() error
	links   *Links
	uses    uses
}

// New makes an Authenticator.
func New(c Config) (*Authenticator, error) {
	if c.Keys == nil {
		return nil, fmt.Errorf("make an authenticator: no keys to look in")
	}
	if c.Current == nil {
		c.Current = func() error { return nil }
	}
	if l := c.Links; l != nil && (l.Known == nil || len(l.Secrets) == 0 || slices.ContainsFunc(l.Secrets, func(s []byte) bool { return len(s) < 16 })) {
		return nil, fmt.Errorf("make an authenticator: portal links need records, and secrets of 16 bytes or more")
	}
	return &Authenticator{keys: c.Keys, current: c.Current, links: c.Links}, nil
}

// The reasons for a 401. Which of the first two a caller gets depends on the
// header alone, never on which keys there are (case 102).
const (
	noKey      = "send a key as Authorization: Bearer KEY"
	unknownKey = "this key is not known: it may be mistyped, revoked, or of another server"
)

// maxKey bounds what is hashed for a caller whom nobody knows.
const maxKey = 1024

// Authenticate recognises the caller by the value of an Authorization header,
// "Bearer KEY". Errors are of CodeUnauthorized, or CodeUnavailable when it
// cannot be told just now.
func (a *Authenticator) Authenticate(header string) (*Principal, error) {
	scheme, key, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil, hook.Errorf(hook.CodeUnauthorized, noKey)
	}
	return a.AuthenticateKey(strings.TrimSpace(key))
}

// AuthenticateKey recognises the caller by the key itself, for contracts that
// carry it elsewhere. Errors are as in Authenticate.
func (a *Authenticator) AuthenticateKey(key string) (*Principal, error) {
	if key == "" {
		return nil, hook.Errorf(hook.CodeUnauthorized, noKey)
	}
	if len(key) > maxKey {
		return nil, hook.Errorf(hook.CodeUnauthorized, unknownKey)
	}
	if err := a.current(); err != nil {
		return nil, &hook.Error{Code: hook.CodeUnavailable, Message: "keys cannot be checked just now: try again", Err: err}
	}
	now := time.Now()
	if p, ok, err := a.byLink(key, now); ok {
		return p, err
	}
	hash := sha256.Sum256([]byte(key))
	k, ok := a.keys.Key(hash)
	if !ok || subtle.ConstantTimeCompare(k.Hash[:], hash[:]) != 1 || k.Deleted {
		return nil, hook.Errorf(hook.CodeUnauthorized, unknownKey)
	}
	if expired(k, now) {
		return nil, hook.Errorf(hook.CodeUnauthorized, "this key expired at %s", k.ExpiresAt.UTC().Format(time.RFC3339))
	}
	a.uses.note(k.ID, now)
	return &Principal{key: k}, nil
}

// Principal is a caller who was recognised.
type Principal struct {
	key  *hook.Key // of a portal link: what it amounts to
	link bool
}

// Customer reports whether the caller holds a portal link: one of a tenant's own
// people, not of the provider's.
func (p *Principal) Customer() bool { return p.link }

// Provider reports whether the caller is the provider: holds a key that is bound to no
// tenant.
func (p *Principal) Provider() bool { return !p.link && len(p.key.Tenants) == 0 }

// KeyID is the id of the key or portal link that the caller holds.
func (p *Principal) KeyID() string { return p.key.ID }

// May says whether the caller may do what a scope stands for, for a tenant, or
// for the installation as a whole if tenant is "". A tenant that the key is
// not bound to is not found, whether it exists or not; a scope that the key
// lacks is forbidden.
func (p *Principal) May(scope hook.Scope, tenant string) error {
	if tenant != "" && !p.Sees(tenant) {
		return NoTenant(tenant)
	}
	if !p.has(scope) {
		if p.link {
			return hook.Errorf(hook.CodeForbidden, "a portal link cannot do this: it is for the endpoints and deliveries of its tenant")
		}
		return hook.Errorf(hook.CodeForbidden, "this key has no %q scope", scope)
	}
	return nil
}

// Sees reports whether the key covers a tenant, be there one of that name or
// not.
func (p *Principal) Sees(tenant string) bool {
	return len(p.key.Tenants) == 0 || slices.Contains(p.key.Tenants, tenant)
}

// Only returns the tenant of a key that is bound to exactly one.
func (p *Principal) Only() (tenant string, ok bool) {
	if len(p.key.Tenants) != 1 {
		return "", false
	}
	return p.key.Tenants[0], true
}

// has follows what the scopes include: admin all of them, manage reading.
func (p *Principal) has(scope hook.Scope) bool {
	for _, s := range p.key.Scopes {
		if s == scope || s == hook.ScopeAdmin || s == hook.ScopeManage && scope == hook.ScopeRead {
			return true
		}
	}
	return false
}

// NoTenant is the one answer for a tenant that does not exist and for one
// that is not the caller's. Whoever finds a tenant missing answers with it.
func NoTenant(tenant string) error {
	return hook.Errorf(hook.CodeNotFound, "there is no tenant %q", hook.Clip(tenant))
}
