package propstack

import (
	"errors"
	"net/http"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// failure is the shape of errors (PS-M7).
type failure struct {
	Errors []string `json:"errors"`
}

// refusals are the statuses of what goes wrong. A key that may not do it gets
// the same as one that is not known (PS-M7).
var refusals = map[hook.Code]int{
	hook.CodeInvalid:      http.StatusUnprocessableEntity,
	hook.CodeUnauthorized: http.StatusUnauthorized,
	hook.CodeForbidden:    http.StatusUnauthorized,
	hook.CodeNotFound:     http.StatusNotFound,
	dialect.CodeMethod:    http.StatusMethodNotAllowed,
	hook.CodeConflict:     http.StatusConflict,
	hook.CodeTooLarge:     http.StatusRequestEntityTooLarge,
	hook.CodeRateLimited:  http.StatusTooManyRequests,
	hook.CodeUnavailable:  http.StatusServiceUnavailable,
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	status, known := refusals[hook.CodeOf(err)]
	message := "Interner Fehler."
	var e *hook.Error
	switch {
	case !known:
		status = http.StatusInternalServerError
	case errors.As(err, &e):
		message = e.Message
	}
	_ = answer(w, status, failure{[]string{message}})
}
