package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// The states of an endpoint.
const (
	Active   = "active"
	Paused   = "paused"   // by somebody: its deliveries are held
	Disabled = "disabled" // by its own answers: its deliveries are held
)

// Orderings of endpoints: which deliveries wait for each other.
const (
	Unordered = "none"   // none
	ByKey     = "key"    // those of events with the same ordering key
	Strict    = "strict" // all
)

// Endpoint is a customer's URL.
type Endpoint struct {
	ID          string          `json:"id"`
	Number      int64           `json:"number"` // for vendors' contracts that show one
	Tenant      string          `json:"tenant"`
	URL         string          `json:"url"`
	EventTypes  []string        `json:"event_types"` // names, or "prefix.*"; empty: all
	Dialect     string          `json:"dialect"`
	Description string          `json:"description"`
	Headers     Headers         `json:"headers"`   // sent besides; credentials are shown as "[secret]"
	Auth        *EndpointAuth   `json:"auth"`      // nil: requests authenticate themselves by their signature alone
	TLS         *EndpointTLS    `json:"tls"`       // nil: connections are as all are
	Filter      json.RawMessage `json:"filter"`    // a condition tree; null: none
	Transform   *string         `json:"transform"` // a jq program that makes body and headers; nil: none
	Schedule    *[]Duration     `json:"schedule"`  // waits between attempts; nil: the dialect's; empty: no retries
	Timeout     *Duration       `json:"timeout"`   // nil: the dialect's
	RateLimit   *float64        `json:"rate_limit"`
	MaxInFlight *int            `json:"max_in_flight"` // requests at once; nil: no limit of its own

	Ordering  string `json:"ordering"`   // which deliveries wait for each other: Unordered, ByKey or Strict
	SkipAfter *int   `json:"skip_after"` // failed attempts, then those behind a delivery go on; nil: they wait for it

	DisableAfter *Duration  `json:"disable_after"`           // for how long all attempts may fail until it is disabled; nil: for ever
	FailingSince *time.Time `json:"failing_since,omitempty"` // nil: it is well, or has not failed for long enough to tell

	Fields   []string          `json:"fields"` // parts of the data that it gets; empty: all
	Settings map[string]string `json:"settings"`
	VendorID *string           `json:"vendor_id"` // what the dialect's own API calls it; nil: by its id

	State       string           `json:"state"`
	StateReason string           `json:"state_reason,omitempty"`
	StateAt     *time.Time       `json:"state_at,omitempty"` // when it came into its state
	Secrets     []EndpointSecret `json:"secrets"`
	CreatedAt   time.Time        `json:"created_at"`
	UpdatedAt   time.Time        `json:"updated_at"`

	// Secret is the signing secret where it was made or replaced just now. It
	// is not told again.
	Secret string `json:"secret,omitempty"`

	Meta Meta `json:"-"`
}

func (e *Endpoint) noteMeta(h http.Header) { e.Meta.noteMeta(h) }

// EndpointSecret tells when a secret counts, not what it is.
type EndpointSecret struct {
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // nil: it does not
	PublicKey string     `json:"public_key,omitempty"` // whpk_…, to verify with, where the secret is a private key
}

// EndpointInput is what can be set on an endpoint.
type EndpointInput struct {
	URL          Field[string]          `json:"url,omitzero"`
	EventTypes   Field[[]string]        `json:"event_types,omitzero"`
	Dialect      Field[string]          `json:"dialect,omitzero"`
	Secret       Field[string]          `json:"secret,omitzero"` // when it is made
	Description  Field[string]          `json:"description,omitzero"`
	Headers      Field[Headers]         `json:"headers,omitzero"`
	Auth         Field[EndpointAuth]    `json:"auth,omitzero"`
	TLS          Field[TLSInput]        `json:"tls,omitzero"`
	Filter       Field[json.RawMessage] `json:"filter,omitzero"`
	Transform    Field[string]          `json:"transform,omitzero"` // a jq program
	Schedule     Field[[]Duration]      `json:"schedule,omitzero"`
	Timeout      Field[Duration]        `json:"timeout,omitzero"`
	RateLimit    Field[float64]         `json:"rate_limit,omitzero"` // requests a second
	MaxInFlight  Field[int]             `json:"max_in_flight,omitzero"`
	Ordering     Field[string]          `json:"ordering,omitzero"`      // Unordered, ByKey or Strict
	SkipAfter    Field[int]             `json:"skip_after,omitzero"`    // failed attempts; null: what comes after waits
	State        Field[string]          `json:"state,omitzero"`         // Active or Paused
	DisableAfter Field[Duration]        `json:"disable_after,omitzero"` // for how long all attempts may fail; null: for ever

	Fields   Field[[]string]          `json:"fields,omitzero"`    // parts of the data that it gets, for dialects that let it choose
	Settings Field[map[string]string] `json:"settings,omitzero"`  // for the dialect's contract
	VendorID Field[string]            `json:"vendor_id,omitzero"` // when it is made, with an admin key
}

// CreateEndpoint makes an endpoint. Its answer is the only one that holds the
// signing secret.
func (c *Client) CreateEndpoint(ctx context.Context, tenant string, in EndpointInput, options ...Option) (*Endpoint, error) {
	out := new(Endpoint)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "endpoints"), options, in, out)
}

// PutEndpoint makes an endpoint with an id of the caller's (1 to 64 of
// A-Za-z0-9_.:- that do not begin with "ep_"), or changes it if there is one.
// The answer to the first call alone holds the signing secret, so that it is
// not repeated when no answer came.
func (c *Client) PutEndpoint(ctx context.Context, tenant, id string, in EndpointInput, options ...Option) (*Endpoint, error) {
	out := new(Endpoint)
	return out, c.call(ctx, http.MethodPut, at("tenants", tenant, "endpoints", id), append([]Option{once()}, options...), in, out)
}

// UpdateEndpoint changes an endpoint.
func (c *Client) UpdateEndpoint(ctx context.Context, tenant, id string, in EndpointInput, options ...Option) (*Endpoint, error) {
	out := new(Endpoint)
	return out, c.call(ctx, http.MethodPatch, at("tenants", tenant, "endpoints", id), options, in, out)
}

// Endpoint gets an endpoint.
func (c *Client) Endpoint(ctx context.Context, tenant, id string, options ...Option) (*Endpoint, error) {
	out := new(Endpoint)
	return out, c.call(ctx, http.MethodGet, at("tenants", tenant, "endpoints", id), options, nil, out)
}

// DeleteEndpoint removes an endpoint; what waits for it is cancelled. With
// DryRun the answer says what would go.
func (c *Client) DeleteEndpoint(ctx context.Context, tenant, id string, options ...Option) (*Removal, error) {
	return c.remove(ctx, at("tenants", tenant, "endpoints", id), options)
}

// EndpointFilter selects endpoints; a zero field selects all.
type EndpointFilter struct {
	URL   string // exactly
	State string
}

func (f EndpointFilter) query() url.Values {
	return conditions(map[string]string{"url": f.URL, "state": f.State}, nil)
}

// Endpoints lists a tenant's endpoints, those of one filter or all.
func (c *Client) Endpoints(ctx context.Context, tenant string, f ...EndpointFilter) iter.Seq2[*Endpoint, error] {
	return list[Endpoint](ctx, c, at("tenants", tenant, "endpoints"), one(f).query())
}

// EndpointPage gets one page of Endpoints.
func (c *Client) EndpointPage(ctx context.Context, tenant string, f EndpointFilter, where At, options ...Option) (*Page[Endpoint], error) {
	return page[Endpoint](ctx, c, at("tenants", tenant, "endpoints"), f.query(), where, options)
}

func one(f []EndpointFilter) EndpointFilter {
	if len(f) == 0 {
		return EndpointFilter{}
	}
	return f[0]
}

// TestInput is a test event; a zero field leaves it to the server.
type TestInput struct {
	Type string          `json:"type,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

// TestReceipt says where a test event can be followed.
type TestReceipt struct {
	ID       string `json:"id"`       // of the event
	Delivery string `json:"delivery"` // its id

	Meta Meta `json:"-"`
}

func (r *TestReceipt) noteMeta(h http.Header) { r.Meta.noteMeta(h) }

// TestEndpoint sends an event to one endpoint alone.
func (c *Client) TestEndpoint(ctx context.Context, tenant, id string, in TestInput, options ...Option) (*TestReceipt, error) {
	out := new(TestReceipt)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "endpoints", id, "test"), options, in, out)
}

// Rotation says how a secret is replaced.
type Rotation struct {
	Secret  Field[string]   `json:"secret,omitzero"`  // the new one; not set: the server makes it
	Overlap Field[Duration] `json:"overlap,omitzero"` // for how long both sign; not set: a day
}

// RotateSecret replaces an endpoint's secret. Its answer is the only one that
// holds the new one.
func (c *Client) RotateSecret(ctx context.Context, tenant, id string, in Rotation, options ...Option) (*Endpoint, error) {
	out := new(Endpoint)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "endpoints", id, "secret", "rotate"), options, in, out)
}

// Resume says what becomes of what is held when an endpoint is resumed. The zero
// value sends all of it.
type Resume struct {
	Discard bool      // send nothing of it
	Since   time.Time // send what was accepted at this time or later, and discard what was before; zero: all
}

func (r Resume) body() any {
	in := struct {
		Held  string     `json:"held,omitempty"`
		Since *time.Time `json:"since,omitempty"`
	}{}
	if r.Discard {
		in.Held = "discard"
	}
	if !r.Since.IsZero() {
		in.Since = &r.Since
	}
	return in
}

// Resumed says what became of what was held.
type Resumed struct {
	State     string `json:"state"`             // Active once all that was to be discarded is
	Discarded int64  `json:"discarded"`         // deliveries that ended as cancelled by this call
	Running   int    `json:"running,omitempty"` // deliveries whose attempt was running: they become what it says
}

// ResumePreview says what resuming would do.
type ResumePreview struct {
	DryRun  bool       `json:"dry_run"`
	State   string     `json:"state"` // of the endpoint, now
	Discard int64      `json:"discarded"`
	Send    int64      `json:"send"`
	Exact   bool       `json:"exact"` // false: there are at least so many
	Oldest  *time.Time `json:"oldest,omitempty"`
	Newest  *time.Time `json:"newest,omitempty"`
}

// ResumeEndpoint makes an endpoint active and sends or discards what was held. One
// call discards for some seconds: while Resumed.State is not Active there is more to
// discard, and the call is to be made again.
func (c *Client) ResumeEndpoint(ctx context.Context, tenant, endpoint string, r Resume, options ...Option) (*Resumed, error) {
	out := new(Resumed)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "endpoints", endpoint, "resume"), options, r.body(), out)
}

// PreviewResume counts what ResumeEndpoint would send and discard, and changes
// nothing.
func (c *Client) PreviewResume(ctx context.Context, tenant, endpoint string, r Resume, options ...Option) (*ResumePreview, error) {
	out := new(ResumePreview)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "endpoints", endpoint, "resume"), append([]Option{DryRun()}, options...), r.body(), out)
}
