package smake

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// api is the management API (SM-M1).
type api struct{ catalogue []string }

func (a *api) routes() []dialect.Route {
	const all, one = "/v2/apps/{app}/webhooks", "/v2/apps/{app}/webhooks/{id}"
	return []dialect.Route{
		{Pattern: "GET " + all, Serve: a.route(list)},
		{Pattern: "POST " + all, Serve: a.route(create)},
		{Pattern: "GET " + one, Serve: a.route(show)},
		{Pattern: "PUT " + one, Serve: a.route(update)},
		{Pattern: "DELETE " + one, Serve: a.route(remove)},
	}
}

// call is one request to an app's webhooks.
type call struct {
	dialect.Account
	*api
	control dialect.Control
	r       *http.Request
	app     string // as the path names it
	version string // whose shapes the answer has
	word    string // what the client calls the events that it chooses
}

// route makes a route's function of one that answers with a status and a value,
// nil for no body, or with an error.
func (a *api) route(do func(*call) (int, any, error)) func(dialect.Control, http.ResponseWriter, *http.Request) {
	return func(c dialect.Control, w http.ResponseWriter, r *http.Request) {
		account, err := appOf(c, r)
		if err != nil {
			refuse(w, r, err)
			return
		}
		one := &call{Account: account, api: a, control: c, r: r, app: r.PathValue("app"), version: version(r, account.Tenant())}
		status, body, err := do(one)
		if err != nil {
			refuse(w, r, one.inItsWords(err))
			return
		}
		answer(w, status, body)
	}
}

// appOf is the app that the path names, by the tenant's id or by the number that
// the tenant has in bodies. It must be one of the key's.
func appOf(c dialect.Control, r *http.Request) (dialect.Account, error) {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		key = ""
	}
	caller, err := c.Caller(r, hook.Secret(strings.TrimSpace(key)))
	if err != nil {
		return nil, err
	}
	app := r.PathValue("app")
	account, err := caller.Account(app)
	if hook.CodeOf(err) == hook.CodeNotFound {
		return caller.ByNumber(app)
	}
	return account, err
}

// inItsWords lets an error name the events as the client does.
func (c *call) inItsWords(err error) error {
	var known *hook.Error
	if !errors.As(err, &known) || c.word == "" {
		return err
	}
	at, ok := strings.CutPrefix(known.Field, "/event_types")
	if !ok {
		return err
	}
	told := *known
	told.Field = "/" + c.word + at
	return &told
}

// list answers with a page of the app's webhooks (SM-M2).
func list(c *call) (int, any, error) {
	return http.StatusOK, c.page(c.Hooks()), nil
}

func show(c *call) (int, any, error) {
	e, err := c.Hook(c.r.PathValue("id"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.shape(e), nil
}

// create makes a webhook. Its URL and one event or more are required (SM-M2).
func create(c *call) (int, any, error) {
	in, err := c.read(nil)
	if err != nil {
		return 0, nil, err
	}
	e, _, err := c.Create(c.r.Context(), in)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, c.shape(e), nil
}

// update changes what the body names and leaves the rest (SM-M2).
func update(c *call) (int, any, error) {
	e, err := c.Hook(c.r.PathValue("id"))
	if err != nil {
		return 0, nil, err
	}
	in, err := c.read(e)
	if err != nil {
		return 0, nil, err
	}
	if e, err = c.Update(c.r.Context(), c.r.PathValue("id"), in); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.shape(e), nil
}

func remove(c *call) (int, any, error) {
	return http.StatusNoContent, nil, c.Delete(c.r.Context(), c.r.PathValue("id"))
}

// read reads the body of a request that makes a webhook, or changes e.
func (c *call) read(e *hook.Endpoint) (dialect.HookInput, error) {
	body, err := io.ReadAll(c.r.Body)
	if err != nil {
		return dialect.HookInput{}, err
	}
	in, err := parse(body)
	if err != nil {
		return dialect.HookInput{}, err
	}
	return c.input(in, e)
}
