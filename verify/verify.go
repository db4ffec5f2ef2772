package verify

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/dialect/explain"
	"grapnel/internal/hook"
)

// Standard is the contract of Standard Webhooks, that of New.
const Standard = "standard"

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
	Unverifiable    Reason = "unverifiable"     // something that was signed is not known, such as the URL
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

// Verifier verifies requests of one contract with one or more secrets. It may
// be used by several goroutines.
type Verifier struct {
	dialect *dialect.Dialect
	keys    []dialect.VerifyKey
	secrets []explain.Secret
}

// builtIn reads the contracts that are built in, when the first one is needed.
var builtIn = sync.OnceValues(all.Registry)

// Contracts are the names of the contracts that are built in, sorted.
func Contracts() []string {
	r, err := builtIn()
	if err != nil {
		return nil // For says why
	}
	return r.Names()
}

// New makes a verifier of Standard Webhooks. Each secret is one that the
// sender shows for the endpoint: whsec_…, or the public key whpk_… where it
// signs with ed25519 (a whsk_… private key works too, but has no business at a
// receiver). Give the old and the new one while a secret is being replaced.
func New(secrets ...string) (*Verifier, error) { return For(Standard, secrets...) }

// For makes a verifier of a contract by its name, such as propstack. What its
// secrets look like, the contract says.
func For(contract string, secrets ...string) (*Verifier, error) {
	r, err := builtIn()
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	d, ok := r.Get(contract)
	if !ok {
		return nil, fmt.Errorf("verify: there is no contract %q; there are %s. Load reads another one from its file", contract, strings.Join(r.Names(), ", "))
	}
	return of(d, secrets)
}

// Load makes a verifier of a contract that is a file: the dialect file of the
// sender's operator, whose name is for errors alone.
func Load(name string, file []byte, secrets ...string) (*Verifier, error) {
	d, err := dialect.Load(name, file)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return of(d, secrets)
}

func of(d *dialect.Dialect, secrets []string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("verify: give one secret or more")
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
		v.secrets = append(v.secrets, explain.Secret{Name: fmt.Sprintf("secret %d", i+1), Value: hook.Secret(s)})
	}
	return v, nil
}

// Request is a request as a receiver got it.
type Request struct {
	// Method and URL are what was requested, the URL as the sender knows it:
	// whole, from https:// to the query. Only contracts that sign them need them.
	Method, URL string
	Header      http.Header // names in any case
	Body        []byte      // exactly the bytes that came
}

// Verify checks that the request with this header and exactly this body was
// signed with one of the secrets, and not longer than Tolerance before now if
// the contract signs a time. It returns nil or an *Error. Signatures are
// compared in constant time.
//
// Header names may have any case. Signatures of versions that are not known
// are passed over, as the standard wants. For a contract that signs the URL,
// use VerifyRequest.
func (v *Verifier) Verify(header http.Header, body []byte, now time.Time) error {
	return v.VerifyRequest(Request{Header: header, Body: body}, now)
}

// VerifyRequest is Verify for contracts that sign more of a request than its
// headers and its body.
func (v *Verifier) VerifyRequest(r Request, now time.Time) error {
	err := v.dialect.Verify(v.received(r, now))
	var refusal *dialect.Refusal
	if errors.As(err, &refusal) {
		return &Error{Reason: Reason(refusal.Flaw), Header: refusal.Header, Message: refusal.Message}
	}
	return err
}

func (v *Verifier) received(r Request, now time.Time) dialect.Received {
	return dialect.Received{Method: r.Method, URL: r.URL, Header: r.Header, Body: r.Body, At: now, Tolerance: Tolerance, Keys: v.keys}
}

// Explain finds out why a request does not verify: it undoes the mistakes that
// receivers make (a body that was parsed and written anew, a secret in the
// wrong form, a header that a proxy took away) until a signature fits, and
// says in sentences what was wrong and what to do. It does a hundred times the
// work of Verify, so keep it for tests and development. What it says shows no
// secret.
func (v *Verifier) Explain(r Request, now time.Time) string {
	report := explain.Explain(explain.Input{
		Dialect: v.dialect, Method: r.Method, URL: r.URL, Header: r.Header, Body: r.Body, At: now, Tolerance: Tolerance, Secrets: v.secrets,
	})
	return strings.TrimSpace(sentence(report.Summary) + " " + sentence(report.Advice))
}

// sentence writes a text of the report as one.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
