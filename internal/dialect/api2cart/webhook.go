package api2cart

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// call is one call of a method by somebody who may call it.
type call struct {
	params
	control dialect.Control
	caller  dialect.Caller
	store   dialect.Account // that of the store_key; nil for methods of the account
	ctx     context.Context
	method  string
	version string
}

// all stands for all fields, in fields and in params.
const all = "force_all"

// The settings of an endpoint that this contract keeps: see hook.Endpoint.
const (
	settingStore    = "store_id"
	settingLanguage = "lang_id"
	settingResponse = "response_fields"
	settingFilter   = "filtering_conditions" // as they were given
)

// storeOf finds a store by its key: as it came, for a key may hold anything, or
// without the blanks around it, which the source's URL is printed with (A2-M1).
func storeOf(caller dialect.Caller, key hook.Secret) (dialect.Account, error) {
	trimmed := hook.Secret(strings.TrimSpace(string(key)))
	if trimmed == "" {
		return nil, missing("store_key")
	}
	store, err := caller.BySecret(key)
	if trimmed != key && hook.CodeOf(err) == hook.CodeNotFound {
		store, err = caller.BySecret(trimmed)
	}
	switch hook.CodeOf(err) {
	case "":
		return store, nil
	case hook.CodeNotFound:
		return nil, refused(codeNoStore)
	case hook.CodeForbidden:
		return nil, refused(codeStore)
	}
	return nil, err
}

// create makes a webhook (A2-M1, A2-M5).
func (c call) create() (any, error) {
	for _, name := range []string{"entity", "action", "callback"} {
		if c.word(name) == "" {
			return nil, missing(name)
		}
	}
	event := c.word("entity") + "." + c.word("action")
	if !slices.Contains(c.control.Types(), event) { // A2-M6
		return nil, wrong("the store has no webhook " + hook.Clip(event) + "; webhook.events lists those that it has")
	}
	if c.word("fields") == "" {
		c.params["fields"] = map[string]string{older: "id", newer: all}[c.version]
	}
	in, err := c.input(&hook.Endpoint{}, settingStore, settingLanguage, settingResponse, settingFilter)
	if err != nil {
		return nil, err
	}
	in.EventTypes = &[]string{event}
	e, _, err := c.store.Create(c.ctx, in)
	if err != nil {
		return nil, err
	}
	return members{{"id", c.id(e)}}, nil
}

// update changes a webhook: its callback, label, fields and active, and by the
// newer document its settings too. Other parameters are passed over (A2-M9).
func (c call) update() (any, error) {
	e, err := c.hook()
	if err != nil {
		return nil, err
	}
	var may []string
	if c.version == newer {
		may = []string{settingLanguage, settingResponse, settingFilter}
	}
	in, err := c.input(e, may...)
	if err != nil {
		return nil, err
	}
	if _, err := c.store.Update(c.ctx, c.word("id"), in); err != nil {
		return nil, err
	}
	return members{{"updated", "1"}}, nil
}

// delete removes a webhook (A2-M10).
func (c call) delete() (any, error) {
	if _, err := c.hook(); err != nil {
		return nil, err
	}
	if err := c.store.Delete(c.ctx, c.word("id")); err != nil {
		return nil, err
	}
	return members{{"deleted", "1"}}, nil
}

// hook is the webhook that the parameter id names.
func (c call) hook() (*hook.Endpoint, error) {
	id := c.word("id")
	if id == "" {
		return nil, missing("id")
	}
	return c.store.Hook(id)
}

// input is what the parameters make of a webhook. may are the settings that the
// call may change.
func (c call) input(e *hook.Endpoint, may ...string) (in dialect.HookInput, err error) {
	if _, given := c.params["callback"]; given {
		in.URL = new(c.word("callback"))
	}
	if v, given := c.params["label"]; given {
		in.Description = &v
	}
	if in.Active, err = c.flag("active"); err != nil {
		return in, err
	}
	if fields := c.words("fields"); len(fields) > 0 {
		if slices.Contains(fields, all) {
			fields = []string{}
		}
		in.Fields = &fields
	}
	changed := maps.Clone(e.Settings)
	for _, name := range may {
		if _, given := c.params[name]; !given {
			continue
		}
		given := c.word(name)
		if name == settingFilter {
			tree, err := conditions(given)
			switch {
			case err != nil:
				return in, err
			case len(e.Filter) == 0 || said(e) != nil:
				in.Filter, given = &tree, keepable(given, tree)
			case len(tree) > 0:
				return in, wrong("filtering_conditions: the webhook has a filter that was set elsewhere, which they cannot say; it can be changed there alone")
			default:
				continue // it came as it is shown
			}
		}
		if changed == nil {
			changed = map[string]string{}
		}
		if changed[name] = given; given == "" {
			delete(changed, name)
		}
		in.Settings = &changed
	}
	return in, nil
}

// list lists the store's webhooks (A2-M7).
func (c call) list() (any, error) {
	hooks, err := c.filtered()
	if err != nil {
		return nil, err
	}
	start, count, err := c.page()
	if err != nil {
		return nil, err
	}
	chosen := c.words("params")
	if len(chosen) == 0 {
		chosen = []string{"id", "entity", "action", "callback"}
	}
	start = min(start, len(hooks))
	shown := []members{}
	for _, e := range hooks[start:min(start+count, len(hooks))] {
		shown = append(shown, c.webhook(e).only(chosen))
	}
	return members{{"webhook", shown}}, nil
}

// count counts the store's webhooks (A2-M8).
func (c call) count() (any, error) {
	hooks, err := c.filtered()
	if err != nil {
		return nil, err
	}
	return members{{"webhook_count", len(hooks)}}, nil
}

// filtered are the store's webhooks that the parameters choose.
func (c call) filtered() (out []*hook.Endpoint, err error) {
	active, err := c.flag("active")
	if err != nil {
		return nil, err
	}
	wanted, ids := [2]string{c.word("entity"), c.word("action")}, c.words("ids")
	for _, e := range c.store.Hooks() {
		entity, action := event(e)
		if active != nil && *active != e.Active() || len(ids) > 0 && !slices.Contains(ids, e.VendorID) ||
			wanted[0] != "" && wanted[0] != entity || wanted[1] != "" && wanted[1] != action {
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

// webhook is a webhook as the vendor shows it: the fields of the source, then
// those of the newer document.
func (c call) webhook(e *hook.Endpoint) members {
	entity, action := event(e)
	store := strings.TrimSpace(e.Settings[settingStore])
	if store == "" {
		store = "1" // A2-M4
	}
	fields := strings.Join(e.Fields, ",")
	if fields == "" {
		fields = all
	}
	return members{
		{"id", c.id(e)},
		{"label", e.Description},
		{"store_id", store},
		{"active", e.Active()},
		{"callback", e.URL},
		{"fields", fields},
		{"created_at", stamp(e.CreatedAt)},
		{"updated_at", stamp(e.UpdatedAt)},
		{"entity", entity},
		{"action", action},
		{"lang_id", e.Settings[settingLanguage]},
		{"response_fields", e.Settings[settingResponse]},
		{"filtering_conditions", said(e)},
	}
}

// id is a webhook's id: a text by the older document, a number by the newer
// (A2-M3).
func (c call) id(e *hook.Endpoint) any {
	if n := jsontext.Value(e.VendorID); c.version == newer && n.Kind() == '0' && n.IsValid() {
		return n
	}
	return e.VendorID
}

// event are the entity and the action that a webhook is for.
func event(e *hook.Endpoint) (entity, action string) {
	if len(e.EventTypes) != 1 {
		return "", ""
	}
	return pair(e.EventTypes[0])
}

// pair splits an event's name at its last dot.
func pair(name string) (entity, action string) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name, ""
	}
	return name[:dot], name[dot+1:]
}

// events lists the webhooks that there can be (A2-M6). Conditions may be on any
// field; the one that every entity has is named.
func (c call) events() (any, error) {
	list := []members{}
	for _, name := range c.control.Types() {
		if entity, action := pair(name); entity != "" && action != "" {
			list = append(list, members{{"webhook_name", name}, {"entity", entity}, {"action", action}, {"filterable_fields", members{{"id", "string"}}}})
		}
	}
	return members{{"events", list}}, nil
}

// Times are as PHP's format says: what the failed log tells beside each
// (A2-R6), and Go's word for the same.
const (
	phpLayout = `Y-m-d\TH:i:sO`
	layout    = "2006-01-02T15:04:05-0700"
)

func stamp(t time.Time) string { return t.UTC().Format(layout) }
