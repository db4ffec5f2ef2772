package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// endpointInput is the body that creates or changes an endpoint.
type endpointInput struct {
	URL          field[string]     `json:"url" doc:"where deliveries go; kept exactly as given" example:"https://example.com/hooks"`
	EventTypes   field[[]string]   `json:"event_types" doc:"names, or prefix.* for all that begin so; empty or null: all types" example:"[\"invoice.*\"]"`
	Dialect      field[string]     `json:"dialect" doc:"the wire contract it speaks; null or absent: the tenant's. It cannot change later" example:"standard"`
	Secret       *string           `json:"secret" doc:"a secret of your own to sign with, only while it is created; absent: one is made where the dialect wants one"`
	Description  field[string]     `json:"description" doc:"for people" example:"Accounting"`
	Headers      field[headers]    `json:"headers" doc:"extra headers of every request" example:"{\"X-Region\":\"eu\"}"`
	Auth         field[*authInput] `json:"auth" doc:"how its requests authenticate themselves, beside their signature; null: not at all"`
	TLS          field[*tlsInput]  `json:"tls" doc:"a client certificate to show, and authorities of its own; for a url with https. null: neither"`
	Filter       raw               `json:"filter" doc:"a condition tree that an event has to meet" example:"{\"field\":\"data.amount\",\"operator\":\"gt\",\"value\":100}"`
	Transform    field[string]     `json:"transform" doc:"a jq program that makes body and headers of its requests; null: none" example:".body.text = .event.type"`
	Schedule     field[[]seconds]  `json:"schedule" doc:"waits between the attempts; null: the dialect's schedule" example:"[5,\"5m\",3600]"`
	Timeout      field[seconds]    `json:"timeout" doc:"how long an attempt may take; null: the dialect's" example:"20s"`
	RateLimit    field[float64]    `json:"rate_limit" doc:"requests a second, at most; null: no limit" example:"10"`
	MaxInFlight  field[int]        `json:"max_in_flight" doc:"requests at once, at most; null: the server's limit" example:"4"`
	Ordering     field[string]     `json:"ordering" doc:"which deliveries wait for each other: none, those of one ordering key, or all (strict); null: none" example:"key" enum:"none,key,strict"`
	SkipAfter    field[int]        `json:"skip_after" doc:"of an ordered endpoint: after how many failed attempts a delivery fails, so that those behind it go on; null: they wait until it is delivered or cancelled" example:"5"`
	DisableAfter field[seconds]    `json:"disable_after" doc:"for how long all attempts may fail until the endpoint is disabled: from 5 s to 90 days; null: for ever" example:"120h"`
	State        field[string]     `json:"state" doc:"active or paused" example:"active" enum:"active,paused"`

	Fields   field[[]string]          `json:"fields" doc:"which parts of the data it gets, for a dialect that lets it choose: names, or paths such as price.value; empty or null: all" example:"[\"id\",\"name\"]"`
	Settings field[map[string]string] `json:"settings" doc:"what the dialect's contract keeps of it besides, such as store_id; null: nothing" example:"{\"store_id\":\"2\"}"`
	VendorID field[string]            `json:"vendor_id" doc:"what the dialect's own API calls it, for a dialect that has ids of its own: only while it is created, and with an admin key; absent or null: the next one" example:"17"`
}

// orderingOf is the ordering that a request asks for; nil: it says nothing.
func orderingOf(in field[string]) *hook.Ordering {
	if !in.given {
		return nil
	}
	if in.value == unordered {
		return new(hook.Unordered)
	}
	return new(hook.Ordering(in.value))
}

func (in *endpointInput) manage() manage.EndpointInput {
	out := manage.EndpointInput{
		URL: in.URL.pointer(), EventTypes: in.EventTypes.pointer(), Dialect: in.Dialect.pointer(), Secret: secretOf(in.Secret),
		Description: in.Description.pointer(), Filter: in.Filter.pointer(), RateLimit: in.RateLimit.pointer(), MaxInFlight: in.MaxInFlight.pointer(),
		Headers: (*[]hook.Header)(in.Headers.pointer()), Timeout: (*time.Duration)(in.Timeout.pointer()), State: (*hook.EndpointState)(in.State.pointer()),
	}
	out.Transform = in.Transform.pointer()
	out.Ordering, out.SkipAfter = orderingOf(in.Ordering), in.SkipAfter.pointer()
	out.DisableAfter = (*time.Duration)(in.DisableAfter.pointer())
	out.Fields, out.Settings, out.VendorID = in.Fields.pointer(), in.Settings.pointer(), in.VendorID.pointer()
	if in.Schedule.given {
		out.Schedule = new([]time.Duration) // nil inside: the dialect's
	}
	if in.Schedule.value != nil {
		waits := each(in.Schedule.value, func(s seconds) time.Duration { return time.Duration(s) })
		out.Schedule = &waits
	}
	return out
}

// unordered is hook.Unordered as people write it.
const unordered = "none"

// endpointShape is an endpoint in answers.
type endpointShape struct {
	ID           string            `json:"id" doc:"the endpoint's id" example:"ep_01JB2X3Y4Z"`
	Number       int64             `json:"number" doc:"a small number, for contracts that show one" example:"1"`
	Tenant       string            `json:"tenant" doc:"the tenant it belongs to" example:"acme"`
	URL          string            `json:"url" doc:"where deliveries go" example:"https://example.com/hooks"`
	EventTypes   []string          `json:"event_types" doc:"what it subscribes to; empty: all types" example:"[\"invoice.*\"]"`
	Dialect      string            `json:"dialect" doc:"the wire contract it speaks" example:"standard"`
	Description  string            `json:"description" doc:"for people" example:"Accounting"`
	Headers      headers           `json:"headers" doc:"extra headers of every request; values of credentials are replaced by [secret]"`
	Auth         *authShape        `json:"auth" doc:"how its requests authenticate themselves; secrets are replaced by [secret]. null: by their signature alone"`
	TLS          *tlsShape         `json:"tls" doc:"what connections to it are made with; null: as all are"`
	Filter       jsontext.Value    `json:"filter" doc:"the condition tree that an event has to meet; null: none"`
	Transform    *string           `json:"transform" doc:"the jq program that makes body and headers of its requests; null: none" example:".body.text = .event.type"`
	Schedule     *[]seconds        `json:"schedule" doc:"waits between the attempts; null: the dialect's schedule, empty: no retries"`
	Timeout      *seconds          `json:"timeout" doc:"how long an attempt may take; null: the dialect's" example:"20"`
	RateLimit    *float64          `json:"rate_limit" doc:"requests a second, at most; null: no limit" example:"10"`
	MaxInFlight  *int              `json:"max_in_flight" doc:"requests at once, at most; null: the server's limit" example:"4"`
	Ordering     string            `json:"ordering" doc:"which deliveries wait for each other: none, those of one ordering key, or all (strict)" example:"key" enum:"none,key,strict"`
	SkipAfter    *int              `json:"skip_after" doc:"of an ordered endpoint: after how many failed attempts a delivery fails, so that those behind it go on; null: they wait until it is delivered or cancelled" example:"5"`
	DisableAfter *seconds          `json:"disable_after" doc:"for how long all attempts may fail until the endpoint is disabled; null: for ever" example:"432000"`
	Fields       []string          `json:"fields" doc:"which parts of the data it gets; empty: all" example:"[\"id\",\"name\"]"`
	Settings     map[string]string `json:"settings" doc:"what its contract keeps of it besides" example:"{\"store_id\":\"2\"}"`
	VendorID     *string           `json:"vendor_id" doc:"what the dialect's own API calls it; null: by its id" example:"17"`

	State        string        `json:"state" doc:"paused by people, or disabled by the server: both hold what waits" example:"active" enum:"active,paused,disabled"`
	StateReason  string        `json:"state_reason,omitzero" doc:"why it is in this state"`
	StateAt      stamp         `json:"state_at,omitzero" doc:"since when it is in this state"`
	FailingSince stamp         `json:"failing_since,omitzero" doc:"when the first of the attempts began that have all failed since; absent: it is well, or has not failed for long enough to tell"`
	Secrets      []secretShape `json:"secrets" doc:"when its secrets were made and until when they sign, never what they are"`
	CreatedAt    stamp         `json:"created_at" doc:"when it was created"`
	UpdatedAt    stamp         `json:"updated_at" doc:"when it was last changed"`
}

// secretShape tells of a secret without telling it.
type secretShape struct {
	CreatedAt stamp  `json:"created_at" doc:"when it was made"`
	ExpiresAt stamp  `json:"expires_at,omitzero" doc:"until when it signs; absent: no end is set"`
	PublicKey string `json:"public_key,omitzero" doc:"whpk_… text to verify with, where the secret is a private key" example:"whpk_Q3d7cAFgdBzK1VyQvZ8i5z2V0VfQ3n8o2b9W0yq8Yyo="`
}

// createdEndpoint is an endpoint with its secret, which is told here alone unless it is revealed. null:
// it has none of its own.
type createdEndpoint struct {
	endpointShape
	Secret *string `json:"secret" doc:"the secret to verify signatures with, told here, and where it is revealed; null: it has none of its own" example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"`
}

func shapeEndpoint(e *hook.Endpoint) endpointShape {
	s := endpointShape{
		ID: e.ID, Number: int64(e.Num), Tenant: e.Tenant, URL: e.URL, EventTypes: e.EventTypes, Dialect: e.Dialect, Description: e.Description,
		Headers: redact(e.Headers), Filter: jsontext.Value("null"), State: string(e.State), StateReason: e.StateReason, StateAt: stamp(e.StateAt),
		CreatedAt: stamp(e.CreatedAt), UpdatedAt: stamp(e.UpdatedAt),
		Secrets: each(e.Secrets, func(s hook.EndpointSecret) secretShape {
			return secretShape{stamp(s.CreatedAt), stamp(s.ExpiresAt), s.Public}
		}),
	}
	s.Auth, s.TLS = shapeAuth(e.Auth), shapeTLS(e.TLS)
	s.Fields, s.Settings, s.Ordering = e.Fields, e.Settings, cmp.Or(string(e.Ordering), unordered)
	if e.SkipAfter != 0 {
		s.SkipAfter = &e.SkipAfter
	}
	if e.DisableAfter != 0 {
		s.DisableAfter = new(seconds(e.DisableAfter))
	}
	s.FailingSince = stamp(e.FailingSince)
	if e.VendorID != "" {
		s.VendorID = &e.VendorID
	}
	if len(e.Filter) > 0 {
		s.Filter = e.Filter
	}
	if e.Transform != "" {
		s.Transform = &e.Transform
	}
	if e.Schedule != nil {
		waits := each(e.Schedule, func(d time.Duration) seconds { return seconds(d) })
		s.Schedule = &waits
	}
	if e.Timeout != 0 {
		t := seconds(e.Timeout)
		s.Timeout = &t
	}
	if e.RateLimit != 0 {
		s.RateLimit = &e.RateLimit
	}
	if e.MaxInFlight != 0 {
		s.MaxInFlight = &e.MaxInFlight
	}
	return s
}

func withSecret(e *hook.Endpoint, secret hook.Secret) createdEndpoint {
	out := createdEndpoint{endpointShape: shapeEndpoint(e)}
	if secret != "" {
		text := string(secret)
		out.Secret = &text
	}
	return out
}

// redact hides credentials among headers (case 105).
func redact(in []hook.Header) headers {
	out := make(headers, len(in))
	for i, h := range in {
		out[i] = hook.Header{Name: h.Name, Value: h.Value}
		if h.Sealed != "" || hook.Confidential(h.Name) {
			out[i].Value = hook.Hidden
		}
	}
	return out
}

// endpoint finds the endpoint in the path.
func (a *API) endpoint(c *call) (*hook.Endpoint, error) {
	id := c.r.PathValue("endpoint")
	e, ok := a.Directory.EndpointByID(c.tenant.ID, id)
	if !ok {
		return nil, hook.Errorf(hook.CodeNotFound, "there is no endpoint %q", hook.Clip(id))
	}
	return e, nil
}

func (a *API) createEndpoint(c *call) error {
	var in endpointInput
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := in.checkCustomer(c); err != nil {
		return err
	}
	if err := mayProgram(c, in.Transform, nil); err != nil {
		return err
	}
	if err := unhide(in.Headers.value, in.Headers.value, nil); err != nil {
		return err
	}
	answer := func(e *hook.Endpoint, secret hook.Secret) error {
		c.Header().Set("Location", c.r.URL.EscapedPath()+"/"+e.ID)
		return c.changed(http.StatusCreated, false, withSecret(e, secret), shapeEndpoint(e))
	}
	if in.VendorID.value != "" {
		if err := c.caller.May(hook.ScopeAdmin, ""); err != nil {
			return err
		}
	}
	input := in.manage()
	if err := access(&input, in.Auth, in.TLS); err != nil {
		return err
	}
	input.Keep = keep(a, c, answer)
	e, secret, err := a.Manager.CreateEndpoint(c.r.Context(), c.tenant.ID, input)
	if err != nil {
		return err
	}
	return answer(e, secret)
}

func (a *API) getEndpoint(c *call) error {
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	shown := shapeEndpoint(e)
	if _, ok := a.Dialects.Get(e.Dialect); !ok && shown.StateReason == "" {
		shown.StateReason = "its dialect is not there any more: deliveries wait until the file is back"
	}
	return c.answer(http.StatusOK, shown)
}

func (a *API) listEndpoints(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	var found []*hook.Endpoint
	for _, e := range a.Directory.Endpoints(c.tenant.ID) {
		if q.keeps("url", e.URL) && q.keeps("state", string(e.State)) {
			found = append(found, e)
		}
	}
	part, l := slicePage(a, c, q, found, func(e *hook.Endpoint) string { return fmt.Sprintf("%020d", e.Num) })
	return page(c, each(part, shapeEndpoint), l)
}

// keeps reports whether a filter that may be absent lets a value through.
func (q *query) keeps(name, value string) bool {
	return !q.values.Has(name) || q.values.Get(name) == value
}

func (a *API) patchEndpoint(c *call) error {
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	var in endpointInput
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := in.checkCustomer(c); err != nil {
		return err
	}
	if err := in.checkMoved(c, e); err != nil {
		return err
	}
	change, err := in.change(c)
	if err != nil {
		return err
	}
	e, err = a.Manager.UpdateEndpoint(c.r.Context(), c.tenant.ID, c.r.PathValue("endpoint"), change)
	if err != nil {
		return err
	}
	shown := shapeEndpoint(e)
	return c.changed(http.StatusOK, change.Terms.DryRun, shown, shown)
}

// unhide puts back what redact hid, so that an endpoint can be sent back as it
// was read without losing a credential: into are the headers as given, but for
// those values.
func unhide(into, given headers, stored []hook.Header) error {
	for i, h := range given {
		if h.Value != hook.Hidden {
			continue
		}
		at := slices.IndexFunc(stored, func(s hook.Header) bool { return strings.EqualFold(s.Name, h.Name) })
		if at < 0 {
			return hook.Invalid(string(jsontext.Pointer("/headers").AppendToken(h.Name)), "%s stands for a value that is not shown, and there is none: give the value", hook.Hidden)
		}
		into[i].Value, into[i].Sealed = stored[at].Value, stored[at].Sealed
	}
	return nil
}

func (a *API) deleteEndpoint(c *call) error {
	on, err := terms(c, shapeEndpoint)
	if err != nil {
		return err
	}
	if err := a.Manager.DeleteEndpoint(c.r.Context(), c.tenant.ID, c.r.PathValue("endpoint"), on); err != nil {
		return err
	}
	n := 0
	if _, ok := a.Directory.EndpointByID(c.tenant.ID, c.r.PathValue("endpoint")); ok {
		n = 1
	}
	return c.deleted(on.DryRun, wouldGo{Endpoints: n})
}

// rotateInput is the body of a rotation.
type rotateInput struct {
	Secret  *string  `json:"secret" doc:"a secret of your own; absent: one is made"`
	Overlap *seconds `json:"overlap" doc:"how long the old secret signs as well; absent: a day" example:"1h"`
}

func (a *API) rotateSecret(c *call) error {
	var in rotateInput
	if err := c.decode(&in); err != nil {
		return err
	}
	answer := func(e *hook.Endpoint, secret hook.Secret) error {
		return c.changed(http.StatusOK, false, withSecret(e, secret), shapeEndpoint(e))
	}
	e, secret, err := a.Manager.RotateSecret(c.r.Context(), c.tenant.ID, c.r.PathValue("endpoint"),
		manage.Rotation{Secret: secretOf(in.Secret), Overlap: (*time.Duration)(in.Overlap), Keep: keep(a, c, answer)})
	if err != nil {
		return err
	}
	return answer(e, secret)
}
