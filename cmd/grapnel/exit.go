package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/hook"
)

// The exit codes, the same for all commands.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitAuth        = 3
	exitNotFound    = 4
	exitConflict    = 5
	exitInvalid     = 6
	exitUnavailable = 7
	exitUndelivered = 8
	exitSignature   = 9
	exitInterrupted = 130
)

// failure is an error with the exit code that it ends the program with, and
// what to do about it.
type failure struct {
	code int
	err  error
	hint string // "" when there is none
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail makes a failure.
func fail(code int, hint, format string, args ...any) error {
	return &failure{code: code, err: fmt.Errorf(format, args...), hint: hint}
}

// report tells an error on stderr and returns the exit code for it. Texts of a
// server are in it, so that nothing is printed but plainly (case 112).
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	if faults := settingFaults(err); len(faults) > 0 {
		for _, f := range faults {
			tell(stderr, f.Error(), f.Remedy, "")
		}
		return exitUsage
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok { // of errors.Join: the first counts
		code := exitOK
		for _, e := range all.Unwrap() {
			if c := report(stderr, e); code == exitOK {
				code = c
			}
		}
		return code
	}
	var f *failure
	if errors.As(err, &f) {
		text := ""
		if f.err != nil {
			text = f.err.Error()
		}
		tell(stderr, text, f.hint, "")
		return f.code
	}
	code, hint, problem := classify(err)
	tell(stderr, err.Error(), hint, problem)
	return code
}

// tell writes what went wrong, what to do about it, and where more is said; ""
// leaves one out.
func tell(stderr io.Writer, text, hint, problem string) {
	for _, l := range []field{{"error", text}, {"hint", hint}, {"type", problem}} {
		if l.value != "" {
			fmt.Fprintf(stderr, "%s: %s\n", l.name, plain(l.value))
		}
	}
}

// settingFaults takes joined setting errors apart.
func settingFaults(err error) []*config.Error {
	var one *config.Error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*config.Error
		for _, e := range joined.Unwrap() {
			all = append(all, settingFaults(e)...)
		}
		return all
	}
	if errors.As(err, &one) {
		return []*config.Error{one}
	}
	return nil
}

// classify says how the program ends by an error that is not a failure: of
// the server's answer, of reaching it, or of the house.
func classify(err error) (code int, hint, problem string) {
	var answer *client.Error
	if errors.As(err, &answer) {
		return statusExit(answer), statusHint(answer), answer.Type
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted, "", ""
	}
	var network *net.OpError
	var call *url.Error
	if errors.As(err, &call) || errors.As(err, &network) {
		return exitUnavailable, "is the server running, and is --url (GRAPNEL_URL) right?", ""
	}
	switch hook.CodeOf(err) {
	case hook.CodeInvalid, hook.CodeUnfit, hook.CodeTooLarge:
		return exitInvalid, "", ""
	case hook.CodeUnavailable, hook.CodeRateLimited:
		return exitUnavailable, "", ""
	case hook.CodeConflict, hook.CodeMismatch:
		return exitConflict, "", ""
	}
	return exitFailure, "", ""
}

func statusExit(e *client.Error) int {
	if strings.HasSuffix(e.Type, "/mismatch") { // 422 too, but about what is stored
		return exitConflict
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitAuth
	case http.StatusNotFound, http.StatusGone:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired:
		return exitConflict
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return exitInvalid
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitUnavailable
	}
	return exitFailure
}

func statusHint(e *client.Error) string {
	switch statusExit(e) {
	case exitAuth:
		return "set GRAPNEL_KEY to a key of this server that may do this, or name a file with --key-file"
	case exitNotFound:
		return "is the id right, and the tenant (--tenant, GRAPNEL_TENANT)?"
	case exitUnavailable:
		if e.RetryAfter > 0 {
			return fmt.Sprintf("try again in %s", e.RetryAfter)
		}
		return "try again in a moment"
	case exitFailure:
		if e.Instance != "" {
			return "the server's log names this request " + e.Instance
		}
	}
	return ""
}
