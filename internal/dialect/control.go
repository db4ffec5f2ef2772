package dialect

import (
	"context"
	"net/http"
	"time"

	"grapnel/internal/hook"
)

// Vendor is a contract with a management API of its own: what a folder of
// internal/dialect exports.
type Vendor struct {
	// Dialects are the vendor's: its own first, then the variants of it. The name
	// of a variant is that of the first, "@" and a word.
	Dialects []*Dialect
	Routes   []Route
	// Refuse answers, in the vendor's shape, what went wrong before or outside of
	// a route: no such path (CodeNotFound), a method that the path does not have
	// (CodeMethod; the header Allow is set), a body that is too large, an error of
	// ours. err is a *hook.Error. Links in the answer begin with LinkBase. nil is
	// for vendors without routes.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
}

type linkBase struct{}

// WithLinkBase gives a request the server's address for links, which a vendor's
// Refuse has no Control to ask for.
func WithLinkBase(r *http.Request, publicURL string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), linkBase{}, publicURL))
}

// LinkBase is the server's address for links, as Control.PublicURL has it. What
// a client says of the host is never in it.
func LinkBase(r *http.Request) string {
	base, _ := r.Context().Value(linkBase{}).(string)
	return base
}

// Route is one route of a vendor's management API.
type Route struct {
	// Pattern is that of http.ServeMux, the method included: "GET /api/hooks/{id}".
	Pattern string
	// Public says that it needs no key.
	Public bool
	// Serve answers. What the vendor's document says of the route is written
	// here, and nothing else: what is done, Control does. Reading the body fails
	// with a *hook.Error of CodeTooLarge where there is too much of it, and the
	// answer has the headers Request-Id, Cache-Control and X-Content-Type-Options
	// already, and in the end those of rate limits.
	Serve func(c Control, w http.ResponseWriter, r *http.Request)
}

// CodeMethod is the code of what Refuse is given for a path that has other
// methods.
const CodeMethod hook.Code = "method_not_allowed"

// Control is all that a vendor's management API can see and do. Errors are
// *hook.Error, for the vendor to put into its shape and status: of CodeInvalid,
// CodeUnauthorized, CodeForbidden, CodeNotFound, CodeConflict, CodeRateLimited,
// CodeUnavailable and CodeInternal, whose message is not for the caller. Those
// of CodeInvalid and CodeConflict name in Field what is wrong, as a pointer into
// an endpoint of the native API: /url, /event_types/0, /description, /secret,
// /fields, /filter/and/0, /settings/NAME.
type Control interface {
	// Caller recognises who calls by a key, wherever the vendor carries it. The
	// key needs the scope manage. Errors are of CodeUnauthorized, CodeForbidden,
	// CodeRateLimited and CodeUnavailable.
	Caller(r *http.Request, key hook.Secret) (Caller, error)
	// Types are the events that can be subscribed to, in the contract's words:
	// its catalogue, in the order of the file, then the types that the operator
	// registered besides, sorted.
	Types() []string
	// PublicURL is the server's address in links, without a slash at the end.
	PublicURL() string
	Now() time.Time
}

// Caller is somebody with a key.
type Caller interface {
	// Only is the account of a key that is bound to one tenant. Another key gets
	// an error of CodeForbidden that says so.
	Only() (Account, error)
	// Account is a tenant's. CodeNotFound if there is none or the key does not
	// cover it.
	Account(tenant string) (Account, error)
	// ByNumber is the account whose tenant has this number in bodies: its setting
	// vendor_id, or without one its number with us. Where several have it, one
	// whose own dialect is the vendor's goes first. CodeNotFound if there is none
	// that the key covers, or still more than one.
	ByNumber(number string) (Account, error)
	// BySecret is the account whose tenant has this secret for the contract,
	// where secrets are unique. CodeNotFound if there is none or the key does not
	// cover it.
	BySecret(secret hook.Secret) (Account, error)
	// Log lists deliveries to the hooks of all accounts that the key covers, as
	// Account.Log does, but that whose last attempt began last goes first. each is
	// given one entry after the other, so that the memory of one event is enough;
	// the page has none. What lies behind the first 50,000 is counted, not listed.
	Log(ctx context.Context, q LogQuery, each func(*LogEntry)) (LogPage, error)
}

// Account is a tenant as one vendor's contract sees it: the endpoints that
// speak the vendor's dialect or a variant of it are its hooks.
type Account interface {
	Tenant() *hook.Tenant
	// Hooks are the live ones, by their VendorID: the lowest number first, UUIDs
	// by their age.
	Hooks() []*hook.Endpoint
	// Hook finds a live one by its VendorID; CodeNotFound.
	Hook(id string) (*hook.Endpoint, error)
	// Create makes one. The secret is that which signs for it alone, "" if it has
	// none. CodeConflict at /event_types: as many hooks as the contract allows
	// subscribe to the event already.
	Create(ctx context.Context, in HookInput) (*hook.Endpoint, hook.Secret, error)
	// Update changes one: what is not nil.
	Update(ctx context.Context, id string, in HookInput) (*hook.Endpoint, error)
	// Delete removes one and cancels what waits for it; CodeNotFound.
	Delete(ctx context.Context, id string) error
	// Secret opens the secret that signs for a hook alone; "" if it has none.
	Secret(e *hook.Endpoint) (hook.Secret, error)

	// StoreSecret opens the tenant's secret for the contract.
	StoreSecret() (hook.Secret, error)
	// SetStoreSecret changes it. From the next attempt on it signs.
	SetStoreSecret(ctx context.Context, secret hook.Secret) error
	// SetSettings changes some of the tenant's settings; "" removes one.
	SetSettings(ctx context.Context, settings map[string]string) error

	// Log lists deliveries to the hooks, deleted ones included, newest first. What
	// was suppressed, or cancelled before any attempt, is none of them, nor is what
	// the server itself tells of, such as a lost store.
	Log(ctx context.Context, q LogQuery) (LogPage, error)
	// LastAttempt is when the latest attempt to a hook began; zero: there is none.
	// It is looked for among the hook's newest 20 deliveries and, if none of them
	// was tried (they wait, or were suppressed), among the next 100 and so on, down
	// to 2,000. So a retry of a delivery that more than 20 others came after may be
	// missed. Beyond the newest 20 of each hook, one request reads no more than
	// 10,000 deliveries.
	LastAttempt(ctx context.Context, e *hook.Endpoint) (time.Time, error)
}

// HookInput is what a vendor's API makes of a hook. Nil leaves a field as it
// is, or in Create, unset.
type HookInput struct {
	URL         *string
	EventTypes  *[]string // the contract's names
	Description *string
	Secret      *hook.Secret       // "": none; in Update: none any more
	Fields      *[]string          // of the data that it gets; empty: all
	Filter      *[]byte            // condition tree as JSON; empty: none
	Settings    *map[string]string // all of them
	Active      *bool
	// Dialect is the variant that a new one speaks. "": the tenant's own dialect
	// where that is of the vendor, else the vendor's first.
	Dialect string
}

// LogQuery selects deliveries.
type LogQuery struct {
	States      []hook.DeliveryState // none: all
	Hooks       []string             // VendorIDs; none: all
	Since       time.Time            // of the last attempt, or of the event where there was none; zero: no bound
	Start, Size int                  // how many to leave out, and how many to return at most
	Bodies      bool                 // with LogEntry.Body
}

// LogPage is a part of the log.
type LogPage struct {
	Entries []LogEntry
	Total   int  // how many the query selects in all; at least, if Counted is false
	Counted bool // Total is exact
	More    bool
}

// LogEntry is a delivery with what a vendor's log tells of it.
type LogEntry struct {
	Delivery  *hook.Delivery
	Endpoint  *hook.Endpoint // as it is now
	Event     *hook.Event
	Last      *hook.Attempt // nil before the first
	Failed    *hook.Attempt // the last that failed; nil if none did
	Succeeded *hook.Attempt // the last that delivered; nil if none did
	Body      []byte        // what Last sent or, before it, what will be sent; nil if it cannot be made again
}

// Settled is when the last attempt was over or, before any, when the event was
// accepted.
func (e *LogEntry) Settled() time.Time {
	if e.Last == nil {
		return e.Delivery.Key.Event.Time()
	}
	return e.Last.End()
}
