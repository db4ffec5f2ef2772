package verify

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/standard"
	"grapnel/internal/hook"
)

// Tolerance is by how much the timestamp of a request may differ from the
// receiver's clock, either way.
const Tolerance = 5 * time.Minute

// Reason is why a request does not verify. It is an error of its own, to be
// asked for with errors.Is.
type Reason string

// The reasons.
const (
	MissingHeader   Reason = "missing_header"   // a header of the signature is not there
	MalformedHeader Reason = "malformed_header" // one is there twice, or cannot be read
	TooOld          Reason = "too_old"          // the timestamp is older than Tolerance
	TooNew          Reason = "too_new"          // the timestamp is further ahead than Tolerance
	NoMatch         Reason = "no_match"         // no signature is of one of the secrets over this request
)

// Error is the reason as a text.
func (r Reason) Error() string { return string(r) }

// Error says that a request does not verify, and why. It holds no secret, but
// do not show it to the sender of requests that you do not trust.
type Error struct {
	Reason  Reason
	Header  string // the header that is wrong, or ""
	Message string // what is wrong and what may be the cause, in a sentence
}

// Error is the message.
func (e *Error) Error() string { return "webhook not verified: " + e.Message }

// Unwrap returns the reason, so that errors.Is(err, verify.TooOld) works.
func (e *Error) Unwrap() error { return e.Reason }

// Verifier verifies requests with one or more secrets. It may be used by
// several goroutines.
type Verifier struct {
	dialect *dialect.Dialect
	keys    []dialect.VerifyKey
}

// New makes a verifier. Each secret is one that the sender shows for the
// endpoint: whsec_…, or the public key whpk_… where it signs with ed25519
// (a whsk_… private key works too, but has no business at a receiver). Give
// the old and the new one while a secret is being replaced.
func New(secrets ...string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("verify: give one secret or more")
	}
	d, err := standard.Dialect()
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	v := &Verifier{dialect: d}
	for i, s := range secrets {
		k, err := d.VerifyKey(hook.Secret(s))
		if err != nil {
			var e *hook.Error
			if errors.As(err, &e) {
				err = errors.New(e.Message)
			}
			return nil, fmt.Errorf("verify: secret %d of %d: %w", i+1, len(secrets), err)
		}
		v.keys = append(v.keys, k)
	}
	return v, nil
}

// Verify checks that the request with this header and exactly this body was
// signed with one of the secrets not longer than Tolerance before now. It
// returns nil or an *Error. Signatures are compared in constant time.
//
// Header names may have any case. Signatures of versions that are not known
// are passed over, as the standard wants.
func (v *Verifier) Verify(header http.Header, body []byte, now time.Time) error {
	err := v.dialect.Verify(dialect.Received{Header: header, Body: body, At: now, Tolerance: Tolerance, Keys: v.keys})
	var r *dialect.Refusal
	if errors.As(err, &r) {
		return &Error{Reason: Reason(r.Flaw), Header: r.Header, Message: r.Message}
	}
	return err
}
