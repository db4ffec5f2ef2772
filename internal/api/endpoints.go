package api

import (
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
	URL         field[string]    `json:"url"`
	EventTypes  field[[]string]  `json:"event_types"`
	Dialect     field[string]    `json:"dialect"`
	Secret      *string          `json:"secret"`
	Description field[string]    `json:"description"`
	Headers     field[headers]   `json:"headers"`
	Filter      raw              `json:"filter"`
	Schedule    field[[]seconds] `json:"schedule"`
	Timeout     field[seconds]   `json:"timeout"`
	RateLimit   field[float64]   `json:"rate_limit"`
	MaxInFlight field[int]       `json:"max_in_flight"`
	State       field[string]    `json:"state"`
}

func (in *endpointInput) manage() manage.EndpointInput {
	out := manage.EndpointInput{
		URL: in.URL.pointer(), EventTypes: in.EventTypes.pointer(), Dialect: in.Dialect.pointer(), Secret: secretOf(in.Secret),
		Description: in.Description.pointer(), Filter: in.Filter.pointer(), RateLimit: in.RateLimit.pointer(), MaxInFlight: in.MaxInFlight.pointer(),
		Headers: (*[]hook.Header)(in.Headers.pointer()), Timeout: (*time.Duration)(in.Timeout.pointer()), State: (*hook.EndpointState)(in.State.pointer()),
	}
	if in.Schedule.given {
		waits := each(in.Schedule.value, func(s seconds) time.Duration { return time.Duration(s) })
		out.Schedule = &waits
	}
	return out
}

// endpointShape is an endpoint in answers.
type endpointShape struct {
	ID          string         `json:"id"`
	Number      int64          `json:"number"` // for vendors' contracts that show one
	Tenant      string         `json:"tenant"`
	URL         string         `json:"url"`
	EventTypes  []string       `json:"event_types"` // empty: all
	Dialect     string         `json:"dialect"`
	Description string         `json:"description"`
	Headers     headers        `json:"headers"`
	Filter      jsontext.Value `json:"filter"`
	Schedule    *[]seconds     `json:"schedule"`   // null: the dialect's; empty: no retries
	Timeout     *seconds       `json:"timeout"`    // null: the dialect's
	RateLimit   *float64       `json:"rate_limit"` // null: none
	MaxInFlight *int           `json:"max_in_flight"`
	State       string         `json:"state"`
	StateReason string         `json:"state_reason,omitzero"`
	StateAt     stamp          `json:"state_at,omitzero"`
	Secrets     []secretShape  `json:"secrets"` // when, never what
	CreatedAt   stamp          `json:"created_at"`
	UpdatedAt   stamp          `json:"updated_at"`
}

// secretShape tells of a secret without telling it.
type secretShape struct {
	CreatedAt stamp `json:"created_at"`
	ExpiresAt stamp `json:"expires_at,omitzero"`
}

// createdEndpoint is an endpoint with its secret, which is told once. null:
// it has none of its own.
type createdEndpoint struct {
	endpointShape
	Secret *string `json:"secret"`
}

func shapeEndpoint(e *hook.Endpoint) endpointShape {
	s := endpointShape{
		ID: e.ID, Number: int64(e.Num), Tenant: e.Tenant, URL: e.URL, EventTypes: e.EventTypes, Dialect: e.Dialect, Description: e.Description,
		Headers: redact(e.Headers), Filter: jsontext.Value("null"), State: string(e.State), StateReason: e.StateReason, StateAt: stamp(e.StateAt),
		CreatedAt: stamp(e.CreatedAt), UpdatedAt: stamp(e.UpdatedAt),
		Secrets: each(e.Secrets, func(s hook.EndpointSecret) secretShape {
			return secretShape{stamp(s.CreatedAt), stamp(s.ExpiresAt)}
		}),
	}
	if len(e.Filter) > 0 {
		s.Filter = e.Filter
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

// hidden stands where a credential was.
const hidden = "[secret]"

// confidential reports whether a header's value is a credential of the
// receiver, by its name.
func confidential(name string) bool {
	lower := strings.ToLower(name)
	return lower == "cookie" || slices.ContainsFunc([]string{"authorization", "token", "secret", "password", "api-key", "apikey", "credential"},
		func(word string) bool { return strings.Contains(lower, word) })
}

// redact hides credentials among headers (case 105).
func redact(in []hook.Header) headers {
	out := make(headers, len(in))
	for i, h := range in {
		if confidential(h.Name) {
			h.Value = hidden
		}
		out[i] = h
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
	e, secret, err := a.Manager.CreateEndpoint(c.r.Context(), c.tenant.ID, in.manage())
	if err != nil {
		return err
	}
	c.Header().Set("Location", c.r.URL.EscapedPath()+"/"+e.ID)
	return c.answer(http.StatusCreated, withSecret(e, secret))
}

func (a *API) getEndpoint(c *call) error {
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, shapeEndpoint(e))
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
	part, next := slicePage(a, c, q, found, func(e *hook.Endpoint) string { return fmt.Sprintf("%020d", e.Num) })
	return page(c, each(part, shapeEndpoint), next)
}

// keeps reports whether a filter that may be absent lets a value through.
func (q *query) keeps(name, value string) bool {
	return !q.values.Has(name) || q.values.Get(name) == value
}

func (a *API) patchEndpoint(c *call) error {
	old, err := a.endpoint(c)
	if err != nil {
		return err
	}
	var in endpointInput
	if err := c.decode(&in); err != nil {
		return err
	}
	unhide(in.Headers.value, old.Headers)
	e, err := a.Manager.UpdateEndpoint(c.r.Context(), c.tenant.ID, old.ID, in.manage())
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, shapeEndpoint(e))
}

// unhide puts back what redact hid, so that an endpoint can be sent back as it
// was read without losing a credential.
func unhide(given headers, stored []hook.Header) {
	for i, h := range given {
		if h.Value != hidden {
			continue
		}
		for _, s := range stored {
			if strings.EqualFold(s.Name, h.Name) {
				given[i].Value = s.Value
			}
		}
	}
}

func (a *API) deleteEndpoint(c *call) error {
	if err := a.Manager.DeleteEndpoint(c.r.Context(), c.tenant.ID, c.r.PathValue("endpoint")); err != nil {
		return err
	}
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// rotateInput is the body of a rotation.
type rotateInput struct {
	Secret  *string  `json:"secret"`
	Overlap *seconds `json:"overlap"`
}

func (a *API) rotateSecret(c *call) error {
	var in rotateInput
	if err := c.decode(&in); err != nil {
		return err
	}
	e, secret, err := a.Manager.RotateSecret(c.r.Context(), c.tenant.ID, c.r.PathValue("endpoint"),
		manage.Rotation{Secret: secretOf(in.Secret), Overlap: (*time.Duration)(in.Overlap)})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, withSecret(e, secret))
}
