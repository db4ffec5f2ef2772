package api

import (
	"net/http"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// tenantInput is the body of PUT /v1/tenants/{tenant}.
type tenantInput struct {
	Name       field[string]            `json:"name" doc:"for people" example:"Acme Ltd"`
	Dialect    field[string]            `json:"dialect" doc:"what its endpoints speak when they do not say" example:"standard"`
	Secret     *string                  `json:"secret" doc:"the secret of the tenant for its dialect and the variants of it, where the tenant has one; absent: one is made where needed"`
	APIVersion field[string]            `json:"api_version" doc:"which version of the shapes its endpoints get; empty: the newest"`
	Settings   field[map[string]string] `json:"settings" doc:"free texts, for you and for contracts; vendor_id, in digits, is the number that contracts show of the tenant in place of its own" example:"{\"region\":\"eu\"}"`
	Quota      field[*quotaInput]       `json:"quota" doc:"how much it may publish; null: what the server's settings say"`
	Programs   field[bool]              `json:"programs" doc:"whether keys and portal links of the tenant's own may write programs, such as an endpoint's transform" example:"false"`
	Operator   field[bool]              `json:"operator" doc:"whether it is yours: its endpoints get the notices about all tenants that they subscribe to by name" example:"false"`
	Connection raw                      `json:"connection" doc:"as it is shown; not read"`
	echoed
}

// tenantShape is a tenant in answers.
type tenantShape struct {
	ID         string            `json:"id" doc:"the id that you chose" example:"acme"`
	Number     int64             `json:"number" doc:"a small number, for contracts that show one" example:"1"`
	Name       string            `json:"name" doc:"for people" example:"Acme Ltd"`
	Dialect    string            `json:"dialect" doc:"what its endpoints speak when they do not say" example:"standard"`
	APIVersion string            `json:"api_version" doc:"which version of the shapes its endpoints get; empty: the newest"`
	Settings   map[string]string `json:"settings" doc:"free texts" example:"{\"region\":\"eu\"}"`
	Programs   bool              `json:"programs" doc:"whether keys and portal links of the tenant's own may write programs" example:"false"`
	Operator   bool              `json:"operator" doc:"whether it is told what all tenants are told" example:"false"`
	CreatedAt  stamp             `json:"created_at" doc:"when it was created"`
	UpdatedAt  stamp             `json:"updated_at" doc:"when it was last changed"`
	Quota      *quotaShape       `json:"quota,omitzero" doc:"how much it may publish; absent: what the server's settings say"`
	Connection *storeConnection  `json:"connection,omitzero" doc:"only while the connection with the tenant's store is lost"`
	Secret     string            `json:"secret,omitzero" doc:"only in the answer to the request that made or set it"`
}

func (a *API) tenantShape(t *hook.Tenant) tenantShape {
	out := tenantShape{
		ID: t.ID, Number: int64(t.Num), Name: t.Name, Dialect: a.Manager.DialectOf(t), APIVersion: t.APIVersion, Settings: t.Settings, Programs: t.Programs, Operator: t.Operator,
		CreatedAt: stamp(t.CreatedAt), UpdatedAt: stamp(t.UpdatedAt), Quota: quotaOf(t.Quota),
	}
	if t.Connection != nil {
		lost := connectionOf(t.Connection)
		out.Connection = &lost
	}
	return out
}

func (a *API) putTenant(c *call) error {
	var in tenantInput
	if err := c.decode(&in); err != nil {
		return err
	}
	id := c.r.PathValue("tenant")
	if err := in.echoes(id); err != nil {
		return err
	}
	on, err := terms(c, a.tenantShape)
	if err != nil {
		return err
	}
	put := manage.TenantInput{
		Name: in.Name.pointer(), Dialect: in.Dialect.pointer(), Secret: secretOf(in.Secret),
		APIVersion: in.APIVersion.pointer(), Settings: in.Settings.pointer(), Programs: in.Programs.pointer(), Operator: in.Operator.pointer(), Terms: on,
	}
	if err := fillQuota(&put, in.Quota); err != nil {
		return err
	}
	r, err := a.Manager.PutTenant(c.r.Context(), id, put)
	if err != nil {
		return err
	}
	shown := a.tenantShape(r.Tenant)
	answer := shown
	if !on.DryRun { // the one that was made is not kept
		answer.Secret = string(r.Secret)
	}
	return c.changed(putStatus(r.Created), on.DryRun, answer, shown)
}

func putStatus(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

func secretOf(text *string) *hook.Secret {
	if text == nil {
		return nil
	}
	s := hook.Secret(*text)
	return &s
}

func (a *API) getTenant(c *call) error {
	return c.answer(http.StatusOK, a.tenantShape(c.tenant))
}

func (a *API) listTenants(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	var seen []string
	for _, id := range a.Directory.TenantIDs() {
		if c.caller.Sees(id) {
			seen = append(seen, id)
		}
	}
	ids, l := slicePage(a, c, q, seen, func(id string) string { return id })
	var part []*hook.Tenant
	for _, id := range ids {
		if t, ok := a.Directory.Tenant(id); ok { // else it went this moment
			part = append(part, t)
		}
	}
	return page(c, each(part, a.tenantShape), l)
}

func (a *API) deleteTenant(c *call) error {
	on, err := terms(c, a.tenantShape)
	if err != nil {
		return err
	}
	gone, err := a.Manager.DeleteTenant(c.r.Context(), c.tenant.ID, on)
	if err != nil {
		return err
	}
	return c.deleted(on.DryRun, wouldGo{Tenants: 1, Endpoints: gone.Endpoints, Keys: gone.Keys})
}

// each shapes the items of a list.
func each[T, S any](items []T, shape func(T) S) []S {
	out := make([]S, len(items))
	for i, item := range items {
		out[i] = shape(item)
	}
	return out
}
