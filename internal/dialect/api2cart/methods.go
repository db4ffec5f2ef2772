package api2cart

import (
	"net/http"
	"slices"
	"strings"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// method is one of the vendor's.
type method struct {
	name    string
	verb    string // that the vendor's newer document gives it
	account bool   // of the account, not of one store: it takes no store_key
	run     func(call) (any, error)
}

var methods = []method{
	{name: "webhook.create", verb: http.MethodPost, run: call.create},
	{name: "webhook.update", verb: http.MethodPut, run: call.update},
	{name: "webhook.delete", verb: http.MethodDelete, run: call.delete},
	{name: "webhook.list", verb: http.MethodGet, run: call.list},
	{name: "webhook.count", verb: http.MethodGet, run: call.count},
	{name: "webhook.events", verb: http.MethodGet, run: call.events},
	{name: "account.failed_webhooks", verb: http.MethodGet, account: true, run: call.failed},
}

// The versions are those of the vendor's documents, and the beginning of each
// path.
const (
	older = "v1.0"
	newer = "v1.1"
)

// routes are those of all methods. Besides its own verb each takes GET, which
// the source's URL and the vendor's older clients use for everything, and POST,
// for clients that send a form (A2-M2).
func routes() (out []dialect.Route) {
	for _, version := range []string{older, newer} {
		for _, m := range methods {
			verbs := slices.Compact(slices.Sorted(slices.Values([]string{m.verb, http.MethodGet, http.MethodPost})))
			for _, verb := range verbs {
				out = append(out, dialect.Route{Pattern: verb + " /" + version + "/" + m.name + ".json", Serve: m.serve(version)})
			}
		}
	}
	return out
}

func (m method) serve(version string) func(dialect.Control, http.ResponseWriter, *http.Request) {
	return func(control dialect.Control, w http.ResponseWriter, r *http.Request) {
		result, err := m.call(control, r, version)
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, codeOK, "", result)
	}
}

// call finds out who calls for which store, and runs the method.
func (m method) call(control dialect.Control, r *http.Request, version string) (any, error) {
	if r.Method == http.MethodHead && m.verb != http.MethodGet { // the mux takes it for a GET, but it must change nothing
		return nil, &refusal{codeMethod, "the method " + m.name + " is not called with HEAD"}
	}
	p, err := read(r)
	if err != nil {
		return nil, err
	}
	key := hook.Secret(strings.TrimSpace(string(p.key("api_key", r)))) // no key begins or ends with a blank
	if key == "" {
		return nil, refused(codeKey)
	}
	caller, err := control.Caller(r, key)
	if err != nil {
		return nil, err
	}
	c := call{params: p, control: control, caller: caller, ctx: r.Context(), method: m.name, version: version}
	if m.account {
		return m.run(c)
	}
	if c.store, err = storeOf(caller, p.key("store_key", r)); err != nil {
		return nil, err
	}
	return m.run(c)
}
