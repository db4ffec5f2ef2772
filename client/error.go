package client

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// ErrNotModified is returned by a call with IfNoneMatch when what is asked for
// still has that ETag.
var ErrNotModified = errors.New("not modified")

// The codes of problems. A server may know more of them.
const (
	CodeInvalid      = "invalid"             // the request is wrong as it stands
	CodeUnauthorized = "unauthorized"        // the key is not known
	CodeForbidden    = "forbidden"           // the key lacks the scope
	CodeNotFound     = "not_found"           // there is no such thing, or the key does not cover it
	CodeConflict     = "conflict"            // the present state does not allow it
	CodeMismatch     = "mismatch"            // an id or Idempotency-Key came before with other content
	CodeUnfit        = "unfit"               // data does not fit the schema of its event type
	CodePrecondition = "precondition_failed" // IfMatch, IfExists or IfAbsent does not hold
	CodeTooLarge     = "too_large"           // over a limit; nothing was stored
	CodeRateLimited  = "rate_limited"        // too fast
	CodeUnavailable  = "unavailable"         // the server cannot just now
	CodeInternal     = "internal"            // the server's fault
)

// FieldError says which part of the input is wrong.
type FieldError struct {
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) into the input
	Detail  string `json:"detail"`
}

// Error is a problem that the server answered with (RFC 9457).
type Error struct {
	Status   int          `json:"status"`
	Type     string       `json:"type"` // URL of the problem's page
	Title    string       `json:"title"`
	Detail   string       `json:"detail"`
	Instance string       `json:"instance,omitempty"` // the request's id, for the server's log
	Errors   []FieldError `json:"errors,omitempty"`

	RetryAfter time.Duration `json:"-"` // when to try again, if the server said so

	asked bool // the server named RetryAfter
}

// Code is the problem's name, one of the Code constants or another, or "" if
// the answer was not a problem of Grapnel's.
func (e *Error) Code() string {
	_, code, ok := strings.Cut(e.Type, "/problems/")
	if !ok {
		return ""
	}
	return code
}

// Error is the problem in one line.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	if text == "" {
		text = http.StatusText(e.Status)
	}
	for _, f := range e.Errors {
		if !strings.Contains(text, f.Detail) {
			text += "; " + f.Pointer + " " + f.Detail
		}
	}
	return text
}

// CodeOf is the code of the problem that an error is, or "" if it is none.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return ""
}
