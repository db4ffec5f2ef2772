package sixpark

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// routes are the management API. What reads or removes one webhook is at the
// singular too, as the vendor's examples write it (SP-M6); there is no list and
// no update (SP-M7).
var routes = []dialect.Route{
	{Pattern: "POST /api/v1/webhooks", Serve: route(create)},
	{Pattern: "GET /api/v1/webhooks/{id}", Serve: route(show)},
	{Pattern: "GET /api/v1/webhook/{id}", Serve: route(show)},
	{Pattern: "DELETE /api/v1/webhooks/{id}", Serve: route(remove)},
	{Pattern: "DELETE /api/v1/webhook/{id}", Serve: route(remove)},
}

// call is one request of the owner of an account.
type call struct {
	dialect.Account
	control dialect.Control
	r       *http.Request
}

// route makes a route's function of one that answers with a status and a value,
// nil for no body, or with an error.
func route(do func(call) (int, any, error)) func(dialect.Control, http.ResponseWriter, *http.Request) {
	return func(c dialect.Control, w http.ResponseWriter, r *http.Request) {
		account, err := owner(c, r)
		if err == nil && !wantsJSON(r.Header) {
			err = hook.Errorf(codeNotAcceptable, "The answer is JSON: send Accept: application/json.")
		}
		if err != nil {
			refuse(w, r, err)
			return
		}
		status, body, err := do(call{account, c, r})
		if err != nil {
			refuse(w, r, err)
			return
		}
		answer(w, status, body)
	}
}

// owner is the account of the access token (SP-M7).
func owner(c dialect.Control, r *http.Request) (dialect.Account, error) {
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

// wantsJSON reports whether an answer in JSON is acceptable (SP-M8). The range
// that says most about JSON decides, as RFC 9110 has it (12.5.1): with
// "application/json;q=0, */*" it is not.
func wantsJSON(h http.Header) bool {
	accept := strings.Join(h.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return true
	}
	best, weight := 0, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		media, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q, err := strconv.ParseFloat(parameters["q"], 64)
		if err != nil {
			q = 1
		}
		switch says := about(media); {
		case says > best:
			best, weight = says, q
		case says == best:
			weight = max(weight, q)
		}
	}
	return best > 0 && weight > 0
}

// about is how much a media range says about JSON; 0: nothing.
func about(media string) int {
	switch {
	case media == "application/json":
		return 4
	case strings.HasSuffix(media, "+json"):
		return 3
	case media == "application/*":
		return 2
	case media == "*/*":
		return 1
	}
	return 0
}

// create makes a webhook of a form (SP-M1, SP-M2).
func create(c call) (int, any, error) {
	in, err := readForm(c.r)
	if err != nil {
		return 0, nil, err
	}
	e, token, err := c.Create(c.r.Context(), in)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, document(c.control, e, token), nil
}

// readForm reads what a webhook is made of. Both fields are required.
func readForm(r *http.Request) (in dialect.HookInput, err error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return in, hook.Errorf(codeUnsupported, "Send the fields as application/x-www-form-urlencoded.")
	}
	if err := r.ParseForm(); err != nil {
		var known *hook.Error
		if errors.As(err, &known) {
			return in, known
		}
		return in, hook.Errorf(hook.CodeInvalid, "The form cannot be read: %v.", err)
	}
	url, description := r.PostForm.Get("url"), r.PostForm.Get("description")
	var missing invalid
	if strings.TrimSpace(url) == "" {
		missing = append(missing, fieldError{"Must be given.", "url"})
	}
	if strings.TrimSpace(description) == "" {
		missing = append(missing, fieldError{"Must be given.", "description"})
	}
	if missing != nil {
		return in, missing
	}
	return dialect.HookInput{URL: &url, Description: &description}, nil
}

// show answers with a webhook, its token included (SP-M3, SP-M4).
func show(c call) (int, any, error) {
	e, err := c.Hook(c.r.PathValue("id"))
	if err != nil {
		return 0, nil, err
	}
	token, err := c.Secret(e)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, document(c.control, e, token), nil
}

// remove deletes a webhook; the answer has no body (SP-M5).
func remove(c call) (int, any, error) {
	return http.StatusNoContent, nil, c.Delete(c.r.Context(), c.r.PathValue("id"))
}
