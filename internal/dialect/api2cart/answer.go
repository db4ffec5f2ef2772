package api2cart

import (
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// The return codes that this API gives, of the vendor's list (A2-M11).
const (
	codeOK          = 0
	codeUnavailable = 1
	codeKey         = 2
	codeMethod      = 3
	codeStore       = 4
	codeAccess      = 5
	codeInternal    = 9
	codeLimit       = 10
	codeNoStore     = 101
	codeParameters  = 109
	codeTooMany     = 111
	codeNotFound    = 112
	codeMissing     = 114
)

// words are what the vendor calls its codes.
var words = map[int]string{
	codeUnavailable: "Service not available",
	codeKey:         "Incorrect API Key",
	codeMethod:      "Method is not specified",
	codeStore:       "Store access denied",
	codeAccess:      "API access denied",
	codeInternal:    "Internal service error",
	codeLimit:       "Account request limit exceeded",
	codeNoStore:     "Store not found",
	codeParameters:  "Incorrect parameters",
	codeTooMany:     "Too many items requested",
	codeNotFound:    "Item not found",
	codeMissing:     "Required parameter is not specified",
}

// codes are the vendor's for our own.
var codes = map[hook.Code]int{
	hook.CodeUnavailable:  codeUnavailable,
	hook.CodeUnauthorized: codeKey,
	dialect.CodeMethod:    codeMethod,
	hook.CodeForbidden:    codeAccess,
	hook.CodeRateLimited:  codeLimit,
	hook.CodeInvalid:      codeParameters,
	hook.CodeTooLarge:     codeParameters,
	hook.CodeNotFound:     codeNotFound,
	hook.CodeConflict:     codeParameters,
}

// refusal is an error in the vendor's terms.
type refusal struct {
	code    int
	details string // added to the vendor's words; "" for these alone
}

// Error is the return_message.
func (e *refusal) Error() string {
	if e.details == "" {
		return words[e.code]
	}
	return words[e.code] + ": " + e.details
}

func refused(code int) error         { return &refusal{code: code} }
func wrong(details string) error     { return &refusal{codeParameters, details} }
func missing(parameter string) error { return &refusal{codeMissing, parameter} }

// outside answers what went wrong before a method was reached.
func outside(w http.ResponseWriter, _ *http.Request, err error) {
	if hook.CodeOf(err) == hook.CodeNotFound {
		err = refused(codeMethod)
	}
	refuse(w, err)
}

// refuse answers an error.
func refuse(w http.ResponseWriter, err error) {
	var ours *refusal
	var theirs *hook.Error
	switch {
	case errors.As(err, &ours):
	case !errors.As(err, &theirs), codes[theirs.Code] == 0:
		ours = &refusal{code: codeInternal} // the reason is for the log
	case theirs.Code == hook.CodeUnauthorized || theirs.Code == hook.CodeNotFound:
		ours = &refusal{code: codes[theirs.Code]}
	default:
		ours = &refusal{codes[theirs.Code], theirs.Message}
	}
	answer(w, ours.code, ours.Error(), struct{}{})
}

// envelope is around every answer (A2-M3).
type envelope struct {
	Code    int    `json:"return_code"`
	Message string `json:"return_message"`
	Result  any    `json:"result"`
}

// answer writes one. Its status is always 200.
func answer(w http.ResponseWriter, code int, message string, result any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	// What a client sent may be repeated to it, whatever bytes these are.
	body, err := json.Marshal(envelope{code, message, result}, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		body = []byte(`{"return_code":9,"return_message":"Internal service error","result":{}}`)
	}
	_, _ = w.Write(body) // the client has gone, or it has its answer
}
