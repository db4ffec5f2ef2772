package api

import (
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// echoed are members that answers show and that nobody can set. A PUT takes
// them all the same, so that what was read can be sent back; one that names
// the thing must name that which the address does.
type echoed struct {
	ID        raw `json:"id" doc:"as it is shown: what the address names"`
	Number    raw `json:"number" doc:"as it is shown; not read"`
	CreatedAt raw `json:"created_at" doc:"as it is shown; not read"`
	UpdatedAt raw `json:"updated_at" doc:"as it is shown; not read"`
}

func (e *echoed) echoes(id string) error { return sameText("/id", e.ID, id) }

// sameText refuses a member that names something else than the address.
func sameText(pointer string, given raw, want string) error {
	if !given.given {
		return nil
	}
	text, err := jsontext.AppendUnquote(nil, given.text)
	if err != nil || string(text) != want {
		return hook.Invalid(pointer, "is not what the address names, and it cannot change: leave it out")
	}
	return nil
}

// endpointPut is the body of PUT …/endpoints/{endpoint}.
type endpointPut struct {
	endpointInput
	echoed
	Tenant      raw `json:"tenant" doc:"as it is shown: what the address names"`
	StateReason raw `json:"state_reason" doc:"as it is shown; not read"`
	StateAt     raw `json:"state_at" doc:"as it is shown; not read"`
	Secrets     raw `json:"secrets" doc:"as it is shown; not read"`
}

// putEndpoint creates an endpoint under the caller's own id, or changes one.
func (a *API) putEndpoint(c *call) error {
	id := c.r.PathValue("endpoint")
	var in endpointPut
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := in.echoes(id); err != nil {
		return err
	}
	if err := sameText("/tenant", in.Tenant, c.tenant.ID); err != nil {
		return err
	}
	change, err := in.change(c)
	if err != nil {
		return err
	}
	r, err := a.Manager.PutEndpoint(c.r.Context(), c.tenant.ID, id, change)
	if err != nil {
		return err
	}
	shown := shapeEndpoint(r.Endpoint)
	if !r.Created || change.Terms.DryRun { // a secret that was made for a dry run is not kept
		return c.changed(http.StatusOK, change.Terms.DryRun, shown, shown)
	}
	c.Header().Set("Location", c.r.URL.EscapedPath())
	return c.changed(http.StatusCreated, false, withSecret(r.Endpoint, r.Secret), shown)
}

// change is what a PUT or PATCH of an endpoint asks for.
func (in *endpointInput) change(c *call) (manage.EndpointInput, error) {
	on, err := terms(c, shapeEndpoint)
	if err != nil {
		return manage.EndpointInput{}, err
	}
	given := slices.Clone(in.Headers.value)
	if slices.ContainsFunc(given, func(h hook.Header) bool { return h.Value == hook.Hidden }) {
		allow := on.Allow
		on.Allow = func(current *hook.Endpoint) error {
			if allow != nil {
				if err := allow(current); err != nil {
					return err
				}
			}
			var stored []hook.Header
			if current != nil {
				stored = current.Headers
			}
			return unhide(in.Headers.value, given, stored)
		}
	}
	if in.Transform.value != "" {
		allow := on.Allow
		on.Allow = func(current *hook.Endpoint) error {
			if err := mayProgram(c, in.Transform, current); err != nil || allow == nil {
				return err
			}
			return allow(current)
		}
	}
	out := in.manage()
	if err := access(&out, in.Auth, in.TLS); err != nil {
		return out, err
	}
	out.Terms = on
	if in.VendorID.value != "" {
		allow := on.Allow
		out.Terms.Allow = func(current *hook.Endpoint) error {
			if current == nil { // else it cannot change, and is as it is shown
				if err := c.caller.May(hook.ScopeAdmin, ""); err != nil {
					return err
				}
			}
			if allow == nil {
				return nil
			}
			return allow(current)
		}
	}
	return out, nil
}
