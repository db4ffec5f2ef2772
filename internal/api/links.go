package api

import (
	"net/http"
	"slices"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

func (a *API) linkRoutes() []routeRow {
	return []routeRow{
		{
			pattern: "POST " + pathTenant + "/portal-links", name: "createPortalLink", summary: "Make a portal link for the people of a tenant",
			doc: "The answer holds a token, which is not told again. Sent as a key, it lets a tenant's people see and change the tenant's own endpoints, and see, redeliver and replay its deliveries; what may be done with it is said at each route. It reaches nothing else: no other tenant, no keys, no publishing, and not how fast or how often an endpoint is tried. " +
				"It ends at its time, when the key that made it is revoked or expires, when the tenant is deleted, or with all the tenant's links.",
			scope: hook.ScopeManage, handle: a.createLink, in: linkInput{}, out: createdLink{}, status: 201, settled: true,
		},
		{
			pattern: "DELETE " + pathTenant + "/portal-links", name: "endPortalLinks", summary: "End all portal links of a tenant",
			doc:   "Those that were made so far; others can be made at once.",
			scope: hook.ScopeManage, handle: a.endLinks, status: 204,
		},
	}
}

// linkInput is the body of POST …/portal-links.
type linkInput struct {
	ExpiresIn *seconds `json:"expires_in" doc:"how long it holds, a day at most; absent: an hour" example:"15m"`
}

// createdLink is a portal link with its token, which is told once.
type createdLink struct {
	ID        string `json:"id" doc:"the link's id, by which logs know it" example:"pl_01JB2X3Y4Z"`
	Tenant    string `json:"tenant" doc:"whose people it is for" example:"acme"`
	Token     string `json:"token" doc:"what to send as a key, told this once" example:"gp_cGxfMDFKQjJYM1k0Wg"`
	ExpiresAt stamp  `json:"expires_at" doc:"until when it is valid"`
}

func (a *API) createLink(c *call) error {
	var in linkInput
	if err := c.decode(&in); err != nil {
		return err
	}
	lifetime := manage.LinkLifetime
	if in.ExpiresIn != nil {
		lifetime = time.Duration(*in.ExpiresIn)
	}
	if err := manage.CheckLinkLifetime(lifetime); err != nil {
		return err
	}
	link, token, err := a.Auth.MakeLink(c.caller, c.tenant, lifetime)
	if err != nil {
		return err
	}
	made := manage.Action{Name: "portal_link.create", Tenant: c.tenant, Object: link.ID, With: map[string]any{"expires_at": link.ExpiresAt}, Result: hook.AuditDone}
	if err := a.Manager.Note(c.r.Context(), made); err != nil {
		return err
	}
	return c.answer(http.StatusCreated, createdLink{link.ID, c.tenant.ID, string(token), stamp(link.ExpiresAt)})
}

func (a *API) endLinks(c *call) error {
	if err := a.Manager.EndLinks(c.r.Context(), c.tenant.ID); err != nil {
		return err
	}
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// asked is the scope that a caller needs for a route: on those that are open to
// customers, that of their portal link.
func (c *call) asked(r *routeRow) hook.Scope {
	if r.portal && c.caller.Customer() {
		return hook.ScopePortal
	}
	return r.scope
}

// checkCustomer refuses what a customer has no say in: what an endpoint costs the
// provider, and the ids of contracts.
func (in *endpointInput) checkCustomer(c *call) error {
	if !c.caller.Customer() {
		return nil
	}
	for name, given := range map[string]bool{
		"schedule": in.Schedule.given, "timeout": in.Timeout.given, "max_in_flight": in.MaxInFlight.given, "ordering": in.Ordering.given,
		"skip_after": in.SkipAfter.given, "disable_after": in.DisableAfter.given, "vendor_id": in.VendorID.given,
	} {
		if given {
			return &hook.Error{Code: hook.CodeForbidden, Field: "/" + name, Message: "cannot be set with a portal link: leave it out"}
		}
	}
	return nil
}

// checkMoved refuses a customer who would have credentials that are not shown to them
// sent elsewhere.
func (in *endpointInput) checkMoved(c *call, e *hook.Endpoint) error {
	if !c.caller.Customer() || !in.URL.given || in.URL.value == e.URL {
		return nil
	}
	hidden := slices.ContainsFunc(in.Headers.value, func(h hook.Header) bool { return h.Value == hook.Hidden })
	if !in.Headers.given {
		hidden = slices.ContainsFunc(e.Headers, func(h hook.Header) bool { return h.Sealed != "" })
	}
	if in.hidesAuth(e) {
		return &hook.Error{Code: hook.CodeForbidden, Field: "/url", Message: "cannot be changed with a portal link while auth holds what is not shown: give auth anew with it, or null"}
	}
	if !hidden {
		return nil
	}
	return &hook.Error{Code: hook.CodeForbidden, Field: "/url", Message: "cannot be changed with a portal link while headers hold credentials that are not shown: give the headers anew with it"}
}
