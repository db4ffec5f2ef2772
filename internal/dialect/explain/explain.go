package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// Input is a request as a receiver got it, and what it should verify with.
type Input struct {
	Dialect     *dialect.Dialect
	Method, URL string
	Header      http.Header
	Body        []byte
	At          time.Time     // when it came
	Tolerance   time.Duration // by how much its timestamp may differ, either way
	// Secrets are the endpoint's secrets or public keys, the one in use first.
	// Those that cannot be read are reported, and used where they help.
	Secrets []Secret
	// Others are contracts that the request may be of instead.
	Others []*dialect.Dialect
}

// Secret is one secret and what to call it in the report.
type Secret struct {
	Name  string // such as the file that it came from
	Value hook.Secret
}

// Result is how a check ended.
type Result string

// The results.
const (
	OK      Result = "ok"
	Warning Result = "warning"
	Failed  Result = "failed"
	Skipped Result = "skipped" // it could not be made
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"` // headers, timestamp, secrets, signatures or body
	Result Result `json:"result"`
	Detail string `json:"detail"` // in a sentence
}

// Signature is one signature of the request.
type Signature struct {
	Header  string `json:"header"`
	Number  int    `json:"number"` // in its header, from 1
	Text    string `json:"text"`   // its beginning
	Kind    string `json:"kind,omitempty"`
	Problem string `json:"problem,omitempty"`
	Secrets []Fit  `json:"secrets"`
}

// Fit says whether a signature was made with a secret over this request.
type Fit struct {
	Secret string `json:"secret"` // its name
	Fits   bool   `json:"fits"`
}

// Report is what became of the request.
type Report struct {
	Dialect    string      `json:"dialect"`
	Valid      bool        `json:"valid"` // as the contract decides: every signature header, and the timestamp
	Summary    string      `json:"summary"`
	Advice     string      `json:"advice,omitempty"`
	Checks     []Check     `json:"checks"`
	Signatures []Signature `json:"signatures"`
	// Mistakes are the known mistakes of which the request shows the marks. Of
	// those that change what is signed only the fewest are named that make a
	// signature fit.
	Mistakes []Mistake `json:"mistakes"`
}

// Mistake is a known mistake that was found.
type Mistake struct {
	Mistake Kind   `json:"mistake"`
	Detail  string `json:"detail"` // what happened, in a sentence
	Advice  string `json:"advice"` // what to do
}

// Has reports whether a mistake is among those found.
func (r *Report) Has(k Kind) bool {
	for _, m := range r.Mistakes {
		if m.Mistake == k {
			return true
		}
	}
	return false
}

// Explain looks at a request. It always returns a report.
func Explain(in Input) *Report {
	w := &work{in: in, report: &Report{Dialect: in.Dialect.Name(), Checks: []Check{}, Signatures: []Signature{}, Mistakes: []Mistake{}}}
	w.secrets()
	w.received = dialect.Received{Method: in.Method, URL: in.URL, Header: in.Header, Body: in.Body, At: in.At, Tolerance: in.Tolerance, Keys: w.keys}
	w.seen = in.Dialect.Inspect(w.received)
	w.checkHeaders()
	w.checkTimestamp()
	w.checkSecrets()
	w.checkSignatures()
	w.checkBody()
	err := in.Dialect.Verify(w.received)
	w.report.Valid = err == nil
	if err != nil {
		w.refusal = err.Error()
	}
	w.look()
	w.conclude()
	return w.report
}

// work is one explanation on its way.
type work struct {
	in       Input
	report   *Report
	received dialect.Received
	keys     []dialect.VerifyKey // of the secrets that can be read
	names    []string            // of keys
	unread   map[string]string   // secrets that cannot: name to the reason
	seen     *dialect.Inspection
	refusal  string // why the contract refuses it
	stamp    stamp
}

func (w *work) secrets() {
	w.unread = map[string]string{}
	for _, s := range w.in.Secrets {
		k, err := w.in.Dialect.VerifyKey(s.Value)
		if err != nil {
			w.unread[s.Name] = err.Error()
			continue
		}
		w.keys = append(w.keys, k)
		w.names = append(w.names, s.Name)
	}
}

func (w *work) check(name string, r Result, format string, args ...any) {
	w.report.Checks = append(w.report.Checks, Check{Name: name, Result: r, Detail: fmt.Sprintf(format, args...)})
}

func (w *work) mistake(k Kind, detail string) {
	if !w.report.Has(k) {
		w.report.Mistakes = append(w.report.Mistakes, Mistake{Mistake: k, Detail: detail, Advice: advice[k]})
	}
}

func (w *work) checkHeaders() {
	found := 0
	for _, h := range w.seen.Headers {
		switch {
		case len(h.Values) == 0:
			w.check("headers", Failed, "the header %s is missing", h.Name)
		case len(h.Values) > 1:
			w.check("headers", Failed, "the header %s came %d times; it must come once", h.Name, len(h.Values))
		case h.Values[0] == "":
			w.check("headers", Failed, "the header %s is empty", h.Name)
		case h.Flaw != "":
			w.check("headers", Failed, "the header %s cannot be read: %s", h.Name, h.Flaw)
		default:
			found++
		}
	}
	if other := w.lookAlike(); other != "" {
		w.check("headers", Warning, "%s", other)
	}
	for _, h := range w.seen.Headers {
		if came := w.cameAs(h.Name); h.Holds == "signatures" && len(h.Values) == 1 && came != "" {
			w.check("headers", OK, "%s came as %s, which is the same header: a receiver that minds the case of names would not find it", h.Name, hook.Clip(came))
		}
	}
	switch {
	case len(w.seen.Headers) == 0:
		w.check("headers", Skipped, "the dialect %s does not sign", w.in.Dialect.Name())
	case found == 1 && len(w.seen.Headers) == 1:
		w.check("headers", OK, "the header of the signature is there, once")
	case found == len(w.seen.Headers):
		w.check("headers", OK, "all %d headers of the signature are there, once each", found)
	}
}

// cameAs is how the case of a header's name differed; "" if it did not.
func (w *work) cameAs(name string) string {
	for came := range w.received.Header {
		if came != name && came != http.CanonicalHeaderKey(name) && strings.EqualFold(came, name) {
			return came
		}
	}
	return ""
}

// lookAlike tells of another contract whose signatures the request carries,
// where those of this one are missing.
func (w *work) lookAlike() string {
	for _, h := range w.seen.Headers {
		if h.Holds == "signatures" && len(h.Values) > 0 {
			return ""
		}
	}
	for _, d := range w.in.Others {
		if d.Family() == w.in.Dialect.Family() {
			continue
		}
		for _, h := range d.Inspect(dialect.Received{Header: w.in.Header, Body: w.in.Body}).Headers {
			if h.Holds == "signatures" && len(h.Values) > 0 {
				return fmt.Sprintf("the request carries %s: this looks like %s", h.Name, d.Name())
			}
		}
	}
	return ""
}

// stampless reports whether the contract has no timestamp, as far as the
// request shows it.
func (w *work) stampless() bool {
	for _, h := range w.seen.Headers {
		if strings.HasPrefix(h.Holds, "attempt.") || h.Holds == "signatures" && (len(h.Values) != 1 || h.Flaw != "") {
			return false
		}
	}
	return true
}

// stamp is the request's timestamp as far as it can be read.
type stamp struct {
	unix int64  // in seconds, 0 if it cannot be told
	unit string // what the text counts: "seconds", "milliseconds", …; "" if unknown
}

// units are what timestamps count, by the size of the number: the ranges do
// not meet for times between 2001 and 2286.
var units = []struct {
	name     string
	from, to int64
	factor   int64 // units in a second
}{
	{"seconds", 1e9, 1e10, 1},
	{"milliseconds", 1e12, 1e13, 1e3},
	{"microseconds", 1e15, 1e16, 1e6},
	{"nanoseconds", 1e18, 1<<63 - 1, 1e9},
}

// dateForms are dates that are written where Unix seconds belong.
var dateForms = []string{time.RFC3339Nano, http.TimeFormat, time.RFC1123Z, "2006-01-02 15:04:05", "2006-01-02T15:04:05"}

// wantedStamp says what a contract's timestamp must be, by what it counts.
var wantedStamp = map[string]string{
	"seconds":      "whole Unix seconds",
	"milliseconds": "whole Unix milliseconds",
	"a date":       "a time such as 2006-01-02T15:04:05Z",
}

func readStamp(text string) stamp {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		for _, u := range units {
			if n >= u.from && n < u.to {
				return stamp{unix: n / u.factor, unit: u.name}
			}
		}
		return stamp{unix: n, unit: "seconds"}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 1e9 && f < 1e10 {
		return stamp{unix: int64(f), unit: "seconds with a fraction"}
	}
	for _, form := range dateForms {
		if t, err := time.Parse(form, text); err == nil {
			return stamp{unix: t.Unix(), unit: "a date"}
		}
	}
	return stamp{}
}

func (w *work) checkTimestamp() {
	text := w.seen.Timestamp
	if text == "" && w.stampless() {
		w.check("timestamp", Skipped, "%s has none, so that there is nothing to check", w.in.Dialect.Name())
		return
	}
	if text == "" {
		w.check("timestamp", Skipped, "the request carries no timestamp that can be read")
		return
	}
	w.stamp = readStamp(text)
	age := w.in.At.Sub(time.Unix(w.stamp.unix, 0))
	switch {
	case w.stamp.unit == "":
		w.check("timestamp", Failed, "%q in %s is no time; it must be %s", hook.Clip(text), w.seen.StampHeader, wantedStamp[w.seen.StampUnit])
	case w.stamp.unit != w.seen.StampUnit:
		w.check("timestamp", Failed, "%q in %s is %s; it must be %s", hook.Clip(text), w.seen.StampHeader, w.stamp.unit, wantedStamp[w.seen.StampUnit])
	case age > w.in.Tolerance:
		w.check("timestamp", Failed, "it is %s old; at most %s are allowed", round(age), w.in.Tolerance)
	case age < -w.in.Tolerance:
		w.check("timestamp", Failed, "it is %s ahead of the time of checking; at most %s are allowed", round(-age), w.in.Tolerance)
	case age >= 0:
		w.check("timestamp", OK, "it is %s old; up to %s are allowed", round(age), w.in.Tolerance)
	default:
		w.check("timestamp", OK, "it is %s ahead; up to %s are allowed", round(-age), w.in.Tolerance)
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Second) }

func (w *work) checkSecrets() {
	for _, s := range w.in.Secrets {
		if why, bad := w.unread[s.Name]; bad {
			w.check("secrets", Failed, "%s: %s", s.Name, why)
		} else {
			w.check("secrets", OK, "%s has the form of a key of %s", s.Name, w.in.Dialect.Name())
		}
	}
	if len(w.in.Secrets) == 0 {
		w.check("secrets", Skipped, "no secret was given")
	}
}

func (w *work) checkSignatures() {
	fitting := 0
	for _, t := range w.seen.Tokens {
		s := Signature{Header: t.Header, Number: t.Number, Text: hook.Clip(t.Text), Kind: t.Kind, Problem: t.Miswritten, Secrets: []Fit{}}
		if t.Kind == "" && t.Miswritten == "" {
			s.Problem = "it has no form that this contract knows; verifiers pass over it"
		}
		for i, fits := range t.Fits {
			s.Secrets = append(s.Secrets, Fit{Secret: w.names[i], Fits: fits})
			if fits {
				fitting++
			}
		}
		w.report.Signatures = append(w.report.Signatures, s)
	}
	switch n := len(w.seen.Tokens); {
	case n == 0:
		w.check("signatures", Skipped, "there is no signature to look at")
	case len(w.keys) == 0:
		w.check("signatures", Skipped, "there is no key to check the signatures with")
	case fitting == 0:
		w.check("signatures", Failed, "no signature (%d there) fits this request with a secret (%d given)", n, len(w.keys))
	default:
		w.check("signatures", OK, "a signature fits, the timestamp aside")
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// conclude says in a sentence how it ended.
func (w *work) conclude() {
	r := w.report
	switch {
	case len(r.Mistakes) > 0:
		if other := w.lookAlike(); other != "" && !r.Valid {
			r.Summary, r.Advice = other, "name that contract, or the endpoint's"
			return
		}
		var details, advices []string
		for _, m := range r.Mistakes {
			details = append(details, m.Detail)
			advices = append(advices, m.Advice)
		}
		r.Summary, r.Advice = strings.Join(details, "; "), strings.Join(advices, ". ")
		if r.Valid {
			r.Summary = "the signature is valid, but " + r.Summary
		}
	case r.Valid:
		r.Summary = "the signature is valid"
	default:
		r.Summary = w.refusal
		r.Advice = "no known mistake explains it: compare " + w.toCompare()
	}
}

// toCompare are the things of which one is not what was signed.
func (w *work) toCompare() string {
	all := "the bytes of the body with what the sender sent (its length and SHA-256), "
	var signed []string
	for _, g := range w.seen.Gathered {
		signed = append(signed, g.Came)
	}
	for _, h := range w.seen.Headers {
		if h.Holds != "signatures" && !slices.Contains(signed, h.Name) {
			signed = append(signed, h.Name)
		}
	}
	if len(signed) > 0 {
		all += "the values of the headers that are signed too (" + hook.Clip(strings.Join(signed, ", ")) + "), one of which may have changed, "
	}
	whose := "the endpoint's"
	if w.in.Dialect.SecretOwner() == dialect.SecretTenant {
		whose = "the store's secret, which all its endpoints share"
	}
	return all + "and the secret with " + whose
}
