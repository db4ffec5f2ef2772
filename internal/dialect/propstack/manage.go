package propstack

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// routes are the API, at the path of its present host and at that of the one
// before (PS-M7).
func routes() []dialect.Route {
	var out []dialect.Route
	for _, path := range []string{"/v1/hooks", "/api/v1/hooks"} {
		out = append(out,
			dialect.Route{Pattern: "POST " + path, Serve: forAccount(create)},             // PS-M1
			dialect.Route{Pattern: "GET " + path, Serve: forAccount(list)},                // PS-M4
			dialect.Route{Pattern: "DELETE " + path + "/{id}", Serve: forAccount(remove)}, // PS-M6
		)
	}
	return out
}

// call is a request of somebody who was recognised.
type call struct {
	control dialect.Control
	account dialect.Account
	w       http.ResponseWriter
	r       *http.Request
}

// forAccount makes a route of what an account may do: a key has one (PS-M7).
func forAccount(serve func(call) error) func(dialect.Control, http.ResponseWriter, *http.Request) {
	return func(c dialect.Control, w http.ResponseWriter, r *http.Request) {
		account, err := accountOf(c, r)
		if err == nil {
			err = serve(call{c, account, w, r})
		}
		if err != nil {
			refuse(w, r, err)
		}
	}
}

// accountOf is the account of the key in the header or, without one, in the
// query (PS-M7).
func accountOf(c dialect.Control, r *http.Request) (dialect.Account, error) {
	key := r.Header.Get("X-Api-Key")
	if key == "" {
		key, _, _ = dialect.ParseForm(r.URL.RawQuery).Get("api_key")
	}
	if key == "" {
		return nil, hook.Errorf(hook.CodeUnauthorized, "send the API key in the header X-API-KEY, or in the query as api_key")
	}
	caller, err := c.Caller(r, hook.Secret(key))
	if err != nil {
		return nil, err
	}
	return caller.Only()
}

// create makes a hook. The secret is ours: the vendor's own API takes none,
// only its screen does (PS-M8).
func create(c call) error {
	in, err := readHook(c.r)
	switch {
	case err != nil:
		return err
	case in.Event == "":
		return hook.Invalid("/"+event, "the event to listen to is missing")
	case in.TargetURL == "":
		return hook.Invalid("/"+targetURL, "the target_url to call is missing")
	}
	types := []string{eventType(c.control, in.Event)}
	made, _, err := c.account.Create(c.r.Context(), dialect.HookInput{URL: &in.TargetURL, EventTypes: &types, Secret: in.secret()})
	if err != nil {
		return err
	}
	return answer(c.w, http.StatusOK, created{number(made)}) // PS-M2
}

// list shows all hooks, without their secrets, their events in upper case
// (PS-M4, PS-M5).
func list(c call) error {
	out := hookList{Hooks: []listed{}}
	for _, e := range c.account.Hooks() {
		out.Hooks = append(out.Hooks, listed{number(e), strings.ToUpper(strings.Join(e.EventTypes, ",")), e.URL})
	}
	return answer(c.w, http.StatusOK, out)
}

func remove(c call) error {
	id := c.r.PathValue("id")
	err := c.account.Delete(c.r.Context(), id)
	if hook.CodeOf(err) == hook.CodeNotFound {
		return hook.Errorf(hook.CodeNotFound, "Hook mit der id=%s konnte nicht gefunden werden.", hook.Clip(id)) // PS-M7
	}
	if err != nil {
		return err
	}
	return answer(c.w, http.StatusOK, removed{true})
}

// eventType finds an event by its name in any case (PS-M5). A name that is not
// there stays as it is, for the error.
func eventType(c dialect.Control, name string) string {
	for _, t := range c.Types() {
		if strings.EqualFold(t, name) {
			return t
		}
	}
	return name
}

// number is the id of a hook; all have one.
func number(e *hook.Endpoint) int64 {
	n, _ := strconv.ParseInt(e.VendorID, 10, 64)
	return n
}

func answer(w http.ResponseWriter, status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller has gone
	return nil
}
