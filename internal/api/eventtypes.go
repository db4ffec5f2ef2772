package api

import (
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// eventTypeInput is the body of PUT /v1/event-types/{type}.
type eventTypeInput struct {
	Description field[string]             `json:"description" doc:"for those who subscribe" example:"An invoice was paid in full"`
	Group       field[string]             `json:"group" doc:"what it is listed under" example:"Invoices"`
	Deprecated  field[bool]               `json:"deprecated" doc:"whether nobody new is to subscribe to it; its events are taken and delivered as ever" example:"false"`
	Schema      raw                       `json:"schema" doc:"JSON Schema (2020-12) of data; null: none. What it refers to stands inside of it, under $defs" example:"{\"type\":\"object\",\"required\":[\"invoice\"]}"`
	Validate    field[bool]               `json:"validate" doc:"whether events whose data does not satisfy the schema are refused" example:"true"`
	Versions    field[[]typeVersionInput] `json:"versions" doc:"earlier shapes of data, newest first: what a tenant's api_version chooses from; null: none"`
	Transform   field[string]             `json:"transform" doc:"a jq program that bodies of the type go through, before that of their endpoint; null: none" example:".body.data |= del(.internal)"`
	Sample      raw                       `json:"sample" doc:"an example of data, which test events carry" example:"{\"invoice\":17}"`
	Name        raw                       `json:"name" doc:"as it is shown: what the address names"`
	CreatedAt   raw                       `json:"created_at" doc:"as it is shown; not read"`
	UpdatedAt   raw                       `json:"updated_at" doc:"as it is shown; not read"`
}

// typeVersionInput is an earlier shape of an event type's data, as it is set.
type typeVersionInput struct {
	Version string `json:"version" required:"true" doc:"its name, as a tenant's api_version has it" example:"2021-02-23"`
	Convert string `json:"convert" doc:"a jq program that makes data of the next newer shape into this one. Only the first version can do without: it names the newest shape" example:"del(.currency)"`
}

// typeVersionShape is one in answers.
type typeVersionShape struct {
	Version string `json:"version" doc:"its name, as a tenant's api_version has it" example:"2021-02-23"`
	Convert string `json:"convert,omitzero" doc:"the jq program that makes data of the next newer shape into this one; absent: it is the newest, or the caller is a customer" example:"del(.currency)"`
}

// eventTypeShape is an event type in answers.
type eventTypeShape struct {
	Name        string             `json:"name" doc:"the type" example:"invoice.paid"`
	Description string             `json:"description" doc:"for those who subscribe" example:"An invoice was paid in full"`
	Sample      jsontext.Value     `json:"sample" doc:"an example of data; null: none" example:"{\"invoice\":17}"`
	Group       string             `json:"group" doc:"what it is listed under" example:"Invoices"`
	Deprecated  bool               `json:"deprecated" doc:"whether nobody new is to subscribe to it" example:"false"`
	Schema      jsontext.Value     `json:"schema" doc:"JSON Schema (2020-12) of data; null: none" example:"{\"type\":\"object\",\"required\":[\"invoice\"]}"`
	Validate    bool               `json:"validate" doc:"whether events whose data does not satisfy the schema are refused" example:"true"`
	Versions    []typeVersionShape `json:"versions" doc:"earlier shapes of data, newest first"`
	Transform   *string            `json:"transform" doc:"the jq program that bodies of the type go through, before that of their endpoint; null: none, or the caller is a customer" example:".body.data |= del(.internal)"`
	CreatedAt   stamp              `json:"created_at" doc:"when it was created"`
	UpdatedAt   stamp              `json:"updated_at" doc:"when it was last changed"`
}

func shapeEventType(t *hook.EventType) eventTypeShape {
	s := eventTypeShape{
		Name: t.Name, Description: t.Description, Group: t.Group, Deprecated: t.Deprecated, Schema: jsontext.Value("null"), Validate: t.Validate,
		Sample: jsontext.Value("null"), CreatedAt: stamp(t.CreatedAt), UpdatedAt: stamp(t.UpdatedAt),
	}
	s.Versions = each(t.Versions, func(v hook.TypeVersion) typeVersionShape { return typeVersionShape(v) })
	if len(t.Sample) > 0 {
		s.Sample = t.Sample
	}
	if len(t.Schema) > 0 {
		s.Schema = t.Schema
	}
	if t.Transform != "" {
		s.Transform = &t.Transform
	}
	return s
}

// typeShape is an event type as the caller may see it: how the provider converts is
// no customer's business.
func (c *call) typeShape(t *hook.EventType) eventTypeShape {
	s := shapeEventType(t)
	if c.caller.Customer() {
		s.Transform = nil
		for i := range s.Versions {
			s.Versions[i].Convert = ""
		}
	}
	return s
}

func (a *API) putEventType(c *call) error {
	var in eventTypeInput
	if err := c.decode(&in); err != nil {
		return err
	}
	name := c.r.PathValue("type")
	if err := sameText("/name", in.Name, name); err != nil {
		return err
	}
	on, err := terms(c, shapeEventType)
	if err != nil {
		return err
	}
	var versions *[]hook.TypeVersion
	if in.Versions.given {
		list := each(in.Versions.value, func(v typeVersionInput) hook.TypeVersion { return hook.TypeVersion(v) })
		versions = &list
	}
	t, created, err := a.Manager.PutEventType(c.r.Context(), name, manage.EventTypeInput{
		Description: in.Description.pointer(), Group: in.Group.pointer(), Deprecated: in.Deprecated.pointer(), Schema: in.Schema.pointer(), Validate: in.Validate.pointer(), Versions: versions, Transform: in.Transform.pointer(), Sample: in.Sample.pointer(), Terms: on,
	})
	if err != nil {
		return err
	}
	shown := shapeEventType(t)
	return c.changed(putStatus(created), on.DryRun, shown, shown)
}

func (a *API) getEventType(c *call) error {
	name := c.r.PathValue("type")
	t, ok := a.Directory.Type(name)
	if !ok {
		return hook.Errorf(hook.CodeNotFound, "there is no event type %q", hook.Clip(name))
	}
	return c.answer(http.StatusOK, c.typeShape(t))
}

func (a *API) listEventTypes(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	var deprecated bool
	if q.values.Has("deprecated") {
		if deprecated, err = parseBool("deprecated", q.values.Get("deprecated")); err != nil {
			return err
		}
	}
	found := slices.DeleteFunc(a.Directory.Types(), func(t *hook.EventType) bool {
		return !q.keeps("group", t.Group) || q.values.Has("deprecated") && t.Deprecated != deprecated
	})
	part, l := slicePage(a, c, q, found, func(t *hook.EventType) string { return t.Name })
	return page(c, each(part, c.typeShape), l)
}

func (a *API) deleteEventType(c *call) error {
	on, err := terms(c, shapeEventType)
	if err != nil {
		return err
	}
	if err := a.Manager.DeleteEventType(c.r.Context(), c.r.PathValue("type"), on); err != nil {
		return err
	}
	return c.deleted(on.DryRun, wouldGo{EventTypes: 1})
}
