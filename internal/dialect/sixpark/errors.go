package sixpark

import (
	"errors"
	"net/http"
	"strings"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// What goes wrong in this contract alone.
const (
	codeNotAcceptable hook.Code = "not_acceptable"
	codeUnsupported   hook.Code = "unsupported_media_type"
)

// meanings are the errors in the vendor's words (SP-M8). What is not here is
// about the fields.
var meanings = map[hook.Code]struct {
	status        int
	code, message string // "": the error's own
}{
	hook.CodeUnauthorized: {http.StatusUnauthorized, "unauthorized", "The access token is missing or invalid."},
	hook.CodeForbidden:    {http.StatusForbidden, "forbidden", "The access token does not have the permissions to perform the request."},
	hook.CodeNotFound:     {http.StatusNotFound, "url_invalid", "There is nothing at this address."},
	dialect.CodeMethod:    {http.StatusMethodNotAllowed, "method_not_allowed", "This address does not take this method."},
	codeNotAcceptable:     {http.StatusNotAcceptable, "not_acceptable", ""},
	hook.CodeTooLarge:     {http.StatusRequestEntityTooLarge, "too_large", "The request is too large."},
	codeUnsupported:       {http.StatusUnsupportedMediaType, "unsupported_media_type", ""},
	hook.CodeRateLimited:  {http.StatusTooManyRequests, "rate_limit_exceeded", "There are too many requests. Wait longer after each refusal."},
	hook.CodeInternal:     {http.StatusInternalServerError, "internal_server_error", "Something went wrong on our side."},
	hook.CodeUnavailable:  {http.StatusServiceUnavailable, "service_unavailable", "We cannot answer just now. Try again later."},
}

// problem is an error, and invalidity one about fields.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Links   struct {
		Error string `json:"error"`
	} `json:"links"`
}

type invalidity struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Errors  invalid `json:"errors"`
}

// invalid are all fields that are wrong.
type invalid []fieldError

type fieldError struct {
	Message string `json:"message"`
	Field   string `json:"field"`
}

// Error names the fields.
func (i invalid) Error() string {
	var fields []string
	for _, f := range i {
		fields = append(fields, f.Field)
	}
	return "Validation failed due to " + strings.Join(fields, ", ") + "."
}

// refuse answers with an error in the vendor's shape.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var fields invalid
	var known *hook.Error
	switch {
	case errors.As(err, &fields):
	case !errors.As(err, &known):
		known = &hook.Error{Code: hook.CodeInternal}
	case known.Field != "":
		fields = invalid{{known.Message, strings.TrimPrefix(known.Field, "/")}}
	}
	if fields != nil {
		answer(w, http.StatusUnprocessableEntity, invalidity{"validation_failed", fields.Error(), fields})
		return
	}
	m, ok := meanings[known.Code]
	if !ok {
		m.status, m.code = http.StatusBadRequest, "bad_request"
	}
	p := problem{Code: m.code, Message: m.message}
	if p.Message == "" {
		p.Message = known.Message
	}
	p.Links.Error = explanation(r, known.Code)
	answer(w, m.status, p)
}

// explanation is the address of what the server says about a kind of error.
func explanation(r *http.Request, code hook.Code) string {
	if code == codeNotAcceptable {
		code = hook.CodeInvalid
	}
	return dialect.LinkBase(r) + "/v1/problems/" + string(code)
}
