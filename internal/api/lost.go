package api

import (
	"net/http"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// storeConnectionInput is the body of POST /v1/tenants/{tenant}/connection.
type storeConnectionInput struct {
	State   string `json:"state" doc:"what has become of the connection" enum:"lost,restored" example:"lost"`
	Code    int    `json:"code,omitzero" doc:"why it is lost, as the contract's error code; 100 if left out" minimum:"0" example:"100"`
	Reason  string `json:"reason,omitzero" doc:"why it is lost, in a few words; a general one if left out" example:"incorrect store key"`
	Message string `json:"message,omitzero" doc:"what to do, and what follows otherwise; a general one if left out" example:"Enter the new store key in the settings."`
}

// storeConnection is the connection with a tenant's store.
type storeConnection struct {
	State     string `json:"state" doc:"what has become of it" enum:"lost,restored" example:"lost"`
	Code      int    `json:"code,omitzero" doc:"why it is lost, as the contract's error code" example:"100"`
	Reason    string `json:"reason,omitzero" doc:"why it is lost, in a few words" example:"incorrect store key"`
	Message   string `json:"message,omitzero" doc:"what to do, and what follows otherwise" example:"Enter the new store key in the settings."`
	LostAt    *stamp `json:"lost_at,omitzero" doc:"since when it is lost"`
	Told      int    `json:"told,omitzero" doc:"how many times the endpoints have been told" example:"1"`
	TriesLeft *int   `json:"tries_left,omitzero" doc:"how many times they will be told yet; then they are disabled" example:"4"`
	Endpoints *int   `json:"endpoints,omitzero" doc:"of one that was lost just now: how many endpoints are told of it; 0: nobody is told" example:"1"`
	NextAt    *stamp `json:"next_at,omitzero" doc:"when they are told again or, after the last time, disabled; absent: they have been disabled"`
}

// connectionOf shows a connection that was lost; nil: it is not.
func connectionOf(c *hook.Connection) storeConnection {
	if c == nil {
		return storeConnection{State: "restored"}
	}
	left := max(manage.LostTries-c.Told, 0)
	out := storeConnection{State: "lost", Code: c.Code, Reason: c.Reason, Message: c.Message, LostAt: (*stamp)(&c.LostAt), Told: c.Told, TriesLeft: &left}
	if !c.NextAt.IsZero() {
		out.NextAt = (*stamp)(&c.NextAt)
	}
	return out
}

func (a *API) setConnection(c *call) error {
	var in storeConnectionInput
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.State == "restored" && (in.Code != 0 || in.Reason != "" || in.Message != "") {
		return hook.Invalid("/state", "is restored: code, reason and message are of a lost connection")
	}
	var t *hook.Tenant
	var err error
	switch in.State {
	case "lost":
		t, err = a.Manager.LoseConnection(c.r.Context(), c.tenant.ID, manage.Loss{Code: in.Code, Reason: in.Reason, Message: in.Message})
	case "restored":
		t, err = a.Manager.RestoreConnection(c.r.Context(), c.tenant.ID)
	default:
		return hook.Invalid("/state", "is lost or restored")
	}
	if err != nil {
		return err
	}
	out := connectionOf(t.Connection)
	if in.State == "lost" {
		told := a.Manager.Concerned(t)
		out.Endpoints = &told
	}
	return c.answer(http.StatusOK, out)
}
