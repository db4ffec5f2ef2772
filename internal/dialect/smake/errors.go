package smake

import (
	"errors"
	"net/http"
	"strings"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// meanings are the errors in the framework's words. What is not here is about
// the input.
var meanings = map[hook.Code]struct {
	status  int
	message string
}{
	hook.CodeUnauthorized: {http.StatusUnauthorized, "Unauthenticated."},
	hook.CodeForbidden:    {http.StatusForbidden, "This action is unauthorized."},
	hook.CodeNotFound:     {http.StatusNotFound, "Not Found."},
	dialect.CodeMethod:    {http.StatusMethodNotAllowed, "The method is not supported for this route."},
	hook.CodeTooLarge:     {http.StatusRequestEntityTooLarge, "Payload Too Large."},
	hook.CodeRateLimited:  {http.StatusTooManyRequests, "Too Many Attempts."},
	hook.CodeInternal:     {http.StatusInternalServerError, "Server Error."},
	hook.CodeUnavailable:  {http.StatusServiceUnavailable, "Service Unavailable."},
}

// problem is an error in Laravel's shape. Errors are by field, where the input
// is wrong.
type problem struct {
	Message string  `json:"message"`
	Errors  invalid `json:"errors,omitempty"`
}

// invalid are the fields that are wrong, with what is wrong with them.
type invalid map[string][]string

func (i invalid) add(field, message string) { i[field] = append(i[field], message) }

// Error says that there are some.
func (i invalid) Error() string { return "The given data was invalid." }

// refuse answers with an error in the vendor's shape.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	var fields invalid
	var known *hook.Error
	switch {
	case errors.As(err, &fields):
	case !errors.As(err, &known):
		known = &hook.Error{Code: hook.CodeInternal}
	case known.Field != "":
		fields = invalid{dotted(known.Field): {known.Message}}
	}
	if fields != nil {
		answer(w, http.StatusUnprocessableEntity, problem{fields.Error(), fields})
		return
	}
	m, ok := meanings[known.Code]
	if !ok {
		m.status, m.message = http.StatusBadRequest, known.Message
	}
	answer(w, m.status, problem{Message: m.message})
}

// dotted is a JSON pointer in Laravel's words. Our secret is the vendor's token.
func dotted(pointer string) string {
	field := strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", ".")
	if field == "secret" {
		return "token"
	}
	return field
}
