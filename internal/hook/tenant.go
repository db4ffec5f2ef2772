package hook

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Sealed is a secret as it is kept: encrypted by internal/keyring, bound to
// its tenant and record. It is safe to store and useless to read.
type Sealed string

// Tenant is one customer account of the provider. It owns endpoints, events
// and keys.
type Tenant struct {
	ID         string // chosen by the provider; see ValidTenantID
	Num        TenantNum
	Name       string
	Dialect    string // what its endpoints speak when they do not say
	APIVersion string // which version of an event type's shape it gets; "" is the newest
	// PastAPIVersions are earlier ones, oldest first: they shape the bodies of
	// events from before (SM-V1).
	PastAPIVersions []Past[string]
	Settings        map[string]string // free for the provider and for vendors' contracts
	// PastSettings are earlier Settings, oldest first: of each those alone that
	// bodies hold.
	PastSettings []Past[map[string]string]
	Secrets      map[string]Sealed // store-wide secrets by dialect family, for dialects whose secret is the tenant's
	// SecretMarks find the tenant by such a secret where those are unique: a keyed
	// hash by dialect family.
	SecretMarks map[string]string
	Connection  *Connection // set while the connection with the tenant's store is lost
	Quota       Quota
	Programs    bool `json:",omitempty"` // keys and portal links of the tenant's own may write programs
	Operator    bool `json:",omitempty"` // it is told what all tenants are told; it is the provider's own
	// LinkEpoch counts how often all portal links of the tenant were ended: those
	// of an earlier epoch are no good.
	LinkEpoch int64
	CreatedAt time.Time
	UpdatedAt time.Time
	Deleted   bool // kept as a tombstone while its events are
}

// Quota is how much a tenant may ask for. The zero value of a field leaves it to
// the server's settings, a negative one is no limit.
type Quota struct {
	Events  float64 // accepted a second, over a while
	Pending int64   // deliveries that wait, beyond which no more events are accepted
}

// ValidTenantID checks a caller's id for a tenant: 1 to 128 of A-Z a-z 0-9 _ . : - and
// neither "." nor "..", so that it can stand in a path.
func ValidTenantID(id string) error {
	if err := validName("tenant id", id, 128, "_.:-"); err != nil {
		return err
	}
	return nil
}

// ValidType checks an event type: 1 to 128 of A-Z a-z 0-9 _ . -.
func ValidType(t string) error { return validName("event type", t, 128, "_.-") }

// ValidEventKey checks a caller's own id for an event: 1 to 256 bytes of
// printable ASCII.
func ValidEventKey(key string) error {
	if len(key) == 0 || len(key) > 256 {
		return Errorf(CodeInvalid, "an event id of your own has 1 to 256 characters, this has %d", len(key))
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return Errorf(CodeInvalid, "an event id of your own holds printable ASCII only; byte %d is %#02x", i, key[i])
		}
	}
	return nil
}

// ValidOrderingKey checks what a caller wants to keep events in order by: 1 to
// 255 bytes of UTF-8 without control characters.
func ValidOrderingKey(key string) error {
	if len(key) == 0 || len(key) > 255 {
		return Errorf(CodeInvalid, "an ordering key has 1 to 255 bytes, this has %d: leave it out if the event is to wait for no other", len(key))
	}
	if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
		return Errorf(CodeInvalid, "an ordering key is text without control characters")
	}
	return nil
}

func validName(what, s string, limit int, extra string) error {
	if len(s) == 0 || len(s) > limit {
		return Errorf(CodeInvalid, "the %s has %d characters, it must have 1 to %d", what, len(s), limit)
	}
	if s == "." || s == ".." {
		return Errorf(CodeInvalid, "the %s cannot be %q", what, s)
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		ok := false
		for j := range len(extra) {
			ok = ok || extra[j] == c
		}
		if !ok {
			return Errorf(CodeInvalid, "the %s %q holds %q at place %d; letters, digits and %s are allowed", what, Clip(s), string(rune(c)), i, extra)
		}
	}
	return nil
}

// EventType describes a name of events to the people who subscribe to it.
type EventType struct {
	Name        string
	Description string
	Group       string        // what it is listed under, or ""
	Deprecated  bool          // nobody new is to subscribe to it; its events are taken and delivered as ever
	Schema      []byte        // JSON Schema 2020-12 of data, or nil
	Validate    bool          // events whose data does not satisfy Schema are refused
	Versions    []TypeVersion // of the data's shape before the newest one, newest first
	// PastVersions are earlier lists, oldest first: they shape the bodies of
	// events from before.
	PastVersions []Past[[]TypeVersion]
	Transform    string `json:",omitempty"` // a jq program that bodies of the type go through before their endpoints' own; "": none
	// PastTransforms are earlier Transforms, oldest first: they shape the bodies of
	// events from before.
	PastTransforms []Past[string] `json:",omitempty"`
	Sample         []byte         // an example of data, or nil
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Deleted        bool
}

// TypeVersion is an earlier shape of an event type's data.
type TypeVersion struct {
	Version string // as a tenant's APIVersion names it
	Convert string // a jq program that makes it of the next newer shape
}

// Scope is what a key may do.
type Scope string

// The scopes. Admin may do everything, for all tenants.
const (
	ScopePublish Scope = "publish" // publish events
	ScopeManage  Scope = "manage"  // endpoints, redelivery, tests, and reading
	ScopeRead    Scope = "read"    // look, change nothing
	ScopeAdmin   Scope = "admin"   // tenants, keys, event types, and all the above
	ScopePortal  Scope = "portal"  // a tenant's own endpoints and deliveries; of portal links alone
)

// Key is a credential of the native API. The key itself is shown once; what
// is kept is its SHA-256.
type Key struct {
	ID        string
	Hash      [32]byte // SHA-256 of the key
	Hint      string   // its first characters, to recognise it by
	Tenants   []string // the tenants it is bound to; empty: all of them
	Scopes    []Scope
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	// LastUsedAt is when it was last used, as far as that has been stored; zero:
	// not yet. It may lag behind by a minute.
	LastUsedAt time.Time
	Deleted    bool
}
