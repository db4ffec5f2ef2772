package hook

import (
	"encoding/json"
	"time"
)

// ActorKind says by what right somebody acts.
type ActorKind string

// The kinds of actors.
const (
	ActorServer ActorKind = "server" // the server itself, or whoever starts it
	ActorKey    ActorKind = "key"    // a caller of the native API
	ActorVendor ActorKind = "vendor" // a caller of a vendor's management API
	ActorPortal ActorKind = "portal" // the holder of a portal link: one of the tenant's people
)

// Actor is who does something. Nothing of it is a secret.
type Actor struct {
	Kind     ActorKind
	KeyID    string `json:",omitempty"` // of the key or portal link that was used
	KeyName  string `json:",omitempty"` // what people know the key by
	Contract string `json:",omitempty"` // of an ActorVendor: whose management API was called
	Address  string `json:",omitempty"` // where the request came from
	Request  string `json:",omitempty"` // its id, as in its answer
}

// AuditResult says what became of what somebody did.
type AuditResult string

// The results. What changes the configuration is stored together with its entry and
// is done; anything else has its entry first, and one more if it fails.
const (
	AuditDone   AuditResult = "done"
	AuditAsked  AuditResult = "asked"
	AuditFailed AuditResult = "failed"
)

// AuditEntry says who did what to what, and when. It holds no secret and no
// content of events. Entries are only ever added.
type AuditEntry struct {
	Num       int64 `json:"-"` // its place: later ones have higher numbers. Given by the store
	At        time.Time
	Actor     Actor
	Action    string    // what was done, such as "endpoint.update"
	Operation string    // what it was a part of, in words, such as "import"
	Tenant    string    `json:",omitempty"` // whose it is; "": of the installation, or of several tenants
	TenantNum TenantNum `json:",omitempty"` // the store fills it in for a tenant that comes with the same change
	Object    string    `json:",omitempty"` // id or name of what it was done to
	Changes   []AuditChange
	Result    AuditResult
}

// AuditChange is a field that has changed. Before and After are its values, as
// JSON; where they could be secrets or what people have written, both are nil.
type AuditChange struct {
	Field  string
	Before json.RawMessage `json:",omitempty"`
	After  json.RawMessage `json:",omitempty"`
}
