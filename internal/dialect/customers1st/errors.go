package customers1st

import (
	"errors"
	"net/http"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// failure is the shape of errors (C1-M10).
type failure struct {
	Message string `json:"message"`
	Code    string `json:"errorcode"`
	Status  int    `json:"code"`
}

// limited is the answer to too many requests (C1-M12). The numbers are the
// vendor's; how many there may be is the server's setting.
type limited struct {
	Error string `json:"error"`
	Size  string `json:"bucket_size"`
	Regen string `json:"bucket_regen"`
}

// refusals are the statuses and the errorcodes of what goes wrong.
var refusals = map[hook.Code]struct {
	status int
	code   string
}{
	hook.CodeInvalid:      {http.StatusBadRequest, "BAD_REQUEST"},
	hook.CodeUnauthorized: {http.StatusUnauthorized, "UNAUTHORIZED"},
	hook.CodeForbidden:    {http.StatusForbidden, "FORBIDDEN"},
	hook.CodeNotFound:     {http.StatusNotFound, "NOT_FOUND"},
	dialect.CodeMethod:    {http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED"},
	hook.CodeConflict:     {http.StatusConflict, "CONFLICT"},
	hook.CodeTooLarge:     {http.StatusRequestEntityTooLarge, "REQUEST_ENTITY_TOO_LARGE"},
	hook.CodeUnavailable:  {http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE"},
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	code := hook.CodeOf(err)
	if code == hook.CodeRateLimited {
		_ = answer(w, http.StatusTooManyRequests, limited{"API Resource limit reached.", "80", "8"})
		return
	}
	known, ok := refusals[code]
	if !ok {
		known.status, known.code = http.StatusInternalServerError, "INTERNAL_SERVER_ERROR"
	}
	message := http.StatusText(known.status)
	var e *hook.Error
	if ok && errors.As(err, &e) {
		message = e.Message
	}
	_ = answer(w, known.status, failure{message, known.code, known.status})
}
