package customers1st

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// routes are the API, at the vendor's paths.
var routes = []dialect.Route{
	{Pattern: "POST /api/hooks", Serve: forStore(create)},              // C1-M1
	{Pattern: "GET /api/hooks", Serve: forStore(list)},                 // C1-M6
	{Pattern: "GET /api/hooks/events", Public: true, Serve: events},    // C1-M8
	{Pattern: "GET /api/hooks/log", Serve: forStore(showLog)},          // C1-M9
	{Pattern: "GET /api/hooks/{id}", Serve: forStore(get)},             // C1-M6
	{Pattern: "PUT /api/hooks/{id}", Serve: forStore(replace)},         // C1-M6
	{Pattern: "DELETE /api/hooks/{id}", Serve: forStore(remove)},       // C1-M4
	{Pattern: "GET /api/settings/configs", Serve: forStore(configs)},   // C1-S4
	{Pattern: "PUT /api/settings/configs", Serve: forStore(configure)}, // C1-S4
}

// signingSecret is the store's config that holds its secret (C1-S3).
const signingSecret = "resthook_signing_secret"

// forStore makes a route of what a store may do. A store owns its hooks, its
// secret and its log (C1-M10).
func forStore(serve func(store dialect.Account, w http.ResponseWriter, r *http.Request) error) func(dialect.Control, http.ResponseWriter, *http.Request) {
	return func(c dialect.Control, w http.ResponseWriter, r *http.Request) {
		store, err := storeOf(c, r)
		if err == nil {
			err = serve(store, w, r)
		}
		if err != nil {
			refuse(w, r, err)
		}
	}
}

// storeOf is the store of the token that the request carries (C1-M10).
func storeOf(c dialect.Control, r *http.Request) (dialect.Account, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	caller, err := c.Caller(r, hook.Secret(strings.TrimSpace(token)))
	if err != nil {
		return nil, err
	}
	return caller.Only()
}

func create(store dialect.Account, w http.ResponseWriter, r *http.Request) error {
	in, err := readHook(r)
	if err != nil {
		return err
	}
	made, _, err := store.Create(r.Context(), in)
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, created{number(made.VendorID)})
}

func list(store dialect.Account, w http.ResponseWriter, r *http.Request) error {
	start, size, err := page(r, longestPage) // clients do not turn pages of what is so few
	if err != nil {
		return err
	}
	hooks := store.Hooks()
	shown := hooks[min(start, len(hooks)):]
	shown = shown[:min(size, len(shown))]
	out := hookList{Content: make([]restHook, len(shown)), Count: len(hooks)}
	for i, e := range shown {
		if out.Content[i], err = shape(store, r, e); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, out)
}

func get(store dialect.Account, w http.ResponseWriter, r *http.Request) error {
	e, err := store.Hook(r.PathValue("id"))
	if err != nil {
		return err
	}
	shown, err := shape(store, r, e)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, shown)
}

// replace replaces a hook as a whole: what the request does not say is no
// longer so (C1-M7). One that is not there is not updated (C1-M6).
func replace(store dialect.Account, w http.ResponseWriter, r *http.Request) error {
	if err := ofHook(w, r); err != nil {
		return err
	}
	in, err := readHook(r)
	if err != nil {
		return err
	}
	switch _, err := store.Update(r.Context(), r.PathValue("id"), in); {
	case hook.CodeOf(err) == hook.CodeNotFound:
		return answer(w, http.StatusOK, updated{0})
	case err != nil:
		return err
	}
	return answer(w, http.StatusOK, updated{1})
}

// remove ends a subscription. One that is not there gives 0, and is no error
// (C1-M5).
func remove(store dialect.Account, w http.ResponseWriter, r *http.Request) error {
	if err := ofHook(w, r); err != nil {
		return err
	}
	switch err := store.Delete(r.Context(), r.PathValue("id")); {
	case hook.CodeOf(err) == hook.CodeNotFound:
		return answer(w, http.StatusOK, deleted{0})
	case err != nil:
		return err
	}
	return answer(w, http.StatusOK, deleted{1})
}

// ofHook refuses to change the lists that have their addresses beside the hooks.
func ofHook(w http.ResponseWriter, r *http.Request) error {
	if id := r.PathValue("id"); id != "events" && id != "log" {
		return nil
	}
	w.Header().Set("Allow", "GET, HEAD")
	return hook.Errorf(dialect.CodeMethod, "this address takes GET, HEAD")
}

// events lists what can be subscribed to, to anybody.
func events(c dialect.Control, w http.ResponseWriter, r *http.Request) {
	if err := answer(w, http.StatusOK, eventList{c.Types()}); err != nil {
		refuse(w, r, err)
	}
}

// showLog lists what became of the deliveries, newest first.
func showLog(store dialect.Account, w http.ResponseWriter, r *http.Request) error {
	start, size, err := page(r, usualPage)
	if err != nil {
		return err
	}
	part, err := store.Log(r.Context(), dialect.LogQuery{Start: start, Size: size, Bodies: true})
	if err != nil {
		return err
	}
	out := logList{Content: make([]logEntry, len(part.Entries)), Count: part.Total, HasMore: part.More}
	for i := range part.Entries {
		out.Content[i] = entry(store, &part.Entries[i])
	}
	return answer(w, http.StatusOK, out)
}

// configs shows the one config of a store that hooks have.
func configs(store dialect.Account, w http.ResponseWriter, r *http.Request) error {
	secret, err := store.StoreSecret()
	if err != nil {
		return err
	}
	value := string(secret)
	return answer(w, http.StatusOK, configList{[]config{{signingSecret, &value}}})
}

func configure(store dialect.Account, w http.ResponseWriter, r *http.Request) error {
	in, err := read[configList](r)
	if err != nil {
		return err
	}
	if in.Content == nil {
		return hook.Invalid("/content", "content is missing: a list of configs is wanted, each with key and value")
	}
	for i, c := range in.Content {
		at := fmt.Sprintf("/content/%d", i)
		switch {
		case c.Key != signingSecret:
			return hook.Invalid(at+"/key", "there is no config %q here; the one that hooks have is %s", hook.Clip(c.Key), signingSecret)
		case c.Value == nil || *c.Value == "":
			return hook.Invalid(at+"/value", "all hooks are signed, so %s cannot be empty", signingSecret)
		}
	}
	for _, c := range in.Content {
		if err := store.SetStoreSecret(r.Context(), hook.Secret(*c.Value)); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, in)
}

// Paging (C1-M10).
const (
	usualPage   = 50
	longestPage = 250
)

// page reads which part of a list is asked for; usual is its size where nothing
// is said. More than the longest page is the longest page; "pagination-start"
// and "pagination-PageLength" are older names.
func page(r *http.Request, usual int) (start, size int, err error) {
	q := dialect.ParseForm(r.URL.RawQuery)
	read := func(name, older string, otherwise int) int {
		if err != nil {
			return otherwise
		}
		var text string
		for _, name := range []string{older, name} {
			if value, _, wrong := q.Get(name); wrong != nil {
				err = wrong
			} else if value != "" {
				text = value
			}
		}
		if text == "" || err != nil {
			return otherwise
		}
		n, wrong := strconv.Atoi(text)
		if wrong != nil || n < 0 {
			err = hook.Invalid("/"+name, "%s is a whole number from 0 on, not %q", name, hook.Clip(text))
		}
		return n
	}
	start = read("paginationStart", "pagination-start", 0)
	size = read("paginationPageLength", "pagination-PageLength", usual)
	return start, min(size, longestPage), err
}

// read reads a JSON body. What it holds besides is ignored: clients send back
// what they got.
func read[T any](r *http.Request) (in T, err error) {
	body, err := io.ReadAll(r.Body)
	switch {
	case hook.CodeOf(err) == hook.CodeTooLarge:
		return in, err
	case err != nil:
		return in, hook.Errorf(hook.CodeInvalid, "the body ended too early")
	}
	return in, dialect.ReadJSON(body, &in)
}

func answer(w http.ResponseWriter, status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller has gone
	return nil
}
