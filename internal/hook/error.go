package hook

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code says what kind of thing went wrong, in the terms of whoever called.
type Code string

// The codes. Each face (API, command line, a vendor's API) maps them in one
// table to its own statuses.
const (
	CodeInvalid      Code = "invalid"      // the input is wrong; the same call will fail again
	CodeUnauthorized Code = "unauthorized" // no credential, or one that is not known
	CodeForbidden    Code = "forbidden"    // the credential may not do this
	CodeNotFound     Code = "not_found"    // no such thing, or not of this tenant
	CodeConflict     Code = "conflict"     // the present state does not allow it
	CodeMismatch     Code = "mismatch"     // an idempotency key came again with other content
	CodeUnfit        Code = "unfit"        // data does not fit the schema of its event type
	CodeTooLarge     Code = "too_large"    // over a size limit; nothing was stored
	CodeRateLimited  Code = "rate_limited" // too fast; try later
	CodeUnavailable  Code = "unavailable"  // we cannot just now; try later
	CodeInternal     Code = "internal"     // our fault; the message is for the log
)

// Error is an error that a caller may be told of.
type Error struct {
	Code    Code
	Message string  // a sentence that says what is wrong and what to do
	Field   string  // JSON pointer to the part of the input that is wrong, or ""
	Also    []Place // further parts of it that are wrong
	Err     error   // the cause, for the log; never shown

	// RetryAfter is in how long the same is likely to succeed; 0: not known. It
	// says something of CodeRateLimited and CodeUnavailable alone.
	RetryAfter time.Duration
}

// Place is a part of the input that is wrong.
type Place struct {
	Field   string `json:"field"`   // JSON pointer to it
	Message string `json:"message"` // what is wrong with it
}

// Error is the message and, for the log, its cause.
func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	// A message made by Errorf with %w holds its cause already.
	if e.Err != nil && !strings.HasSuffix(s, e.Err.Error()) {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a code. A %w in the format sets its cause, which
// then is part of the message as well.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Invalid makes a CodeInvalid error about the field at a JSON pointer.
func Invalid(pointer, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: pointer, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of the first Error in err's chain, CodeInternal if there
// is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Clip shortens what a caller sent to its first 64 bytes, for a message. A
// character that would be cut in two is left out.
func Clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// Seconds is a wait in whole seconds, as Retry-After says it: never less than
// the wait, and at least 1.
func Seconds(wait time.Duration) int {
	return max(1, int((wait+time.Second-1)/time.Second))
}
