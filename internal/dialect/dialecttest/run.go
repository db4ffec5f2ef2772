package dialecttest

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// Suite is what a dialect promises, for Run to check.
type Suite struct {
	// Secrets are fixed secrets; the golden files are signed with them. Each
	// entry is what one request is signed with, newest first; nil is an
	// unsigned request.
	Secrets map[string][]hook.Secret
	// Data makes the data of the suite's events such as the contract needs it; nil
	// leaves it as it is.
	Data func(data string) string
	// Verify is an independent verifier: nil if it takes the request with this
	// one of its secrets. A dialect without signatures has none.
	Verify func(s Sent, secret hook.Secret) error
	// Headers are the names of the headers in order and exact case, without
	// signatures.
	Headers []string
	// Signatures are the names of the signature headers.
	Signatures []string
	// Answers are verdicts to expect. Reasons are not compared where empty.
	Answers map[dialect.Result][]int
	// Verdicts are the answers that do more than that.
	Verdicts []Verdict
	// NoAnswer is what no answer at all gives.
	NoAnswer dialect.Result
	// Waits are the schedule's waits.
	Waits []time.Duration
	// Jitter is by how much of itself a wait may grow.
	Jitter float64
	// Timeout, OnInactive, Owner and Subscription are the dialect's.
	Timeout      time.Duration
	OnInactive   dialect.OnInactive
	Owner        dialect.SecretOwner
	Subscription dialect.Subscription
}

// Verdict is one row of the table of answers.
type Verdict struct {
	Status     int
	RetryAfter string // the header, or ""
	Want       dialect.Verdict
}

// Sent is one request as it goes out.
type Sent struct {
	Method, URL string
	Header      []hook.Header
	Body        []byte
	At          time.Time
}

// HTTPHeader is the header as a receiver's net/http would show it.
func (s Sent) HTTPHeader() http.Header {
	h := http.Header{}
	for _, x := range s.Header {
		h.Add(x.Name, x.Value)
	}
	return h
}

// Get is the value of the header of exactly this name, or "".
func (s Sent) Get(name string) string {
	for _, h := range s.Header {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// Send renders and signs an event as one attempt would.
func Send(t testing.TB, d *dialect.Dialect, e *hook.Event, at time.Time, n int, secrets ...hook.Secret) Sent {
	t.Helper()
	in := dialect.Input{
		Event:     e,
		Endpoint:  &hook.Endpoint{ID: "ep_0001", Num: 42, Tenant: "acme", TenantNum: 7, URL: "https://receiver.example/hooks?a=1"},
		Tenant:    &hook.Tenant{ID: "acme", Num: 7},
		PublicURL: "https://hooks.example",
	}
	in.Endpoint.VendorID = map[dialect.IDs]string{dialect.NumberIDs: "42", dialect.UUIDs: "75fe2702-114a-401c-8a5f-61d9fa15e0eb"}[d.IDs()]
	body, err := d.Body(in)
	if err != nil {
		t.Fatalf("Body: %v", err)
	}
	var keys []dialect.Key
	for _, s := range secrets {
		k, err := d.Key(s)
		if err != nil {
			t.Fatalf("Key: %v", err)
		}
		keys = append(keys, k)
	}
	r := dialect.Request{Event: e, Endpoint: in.Endpoint, Tenant: in.Tenant, URL: in.Endpoint.URL, Method: d.Method(), Body: body, At: at, N: n, Keys: keys}
	r.URL = d.URL(r)
	s := Sent{Method: r.Method, URL: r.URL, Body: body, At: at}
	if s.Header, err = d.Header(r); err != nil {
		t.Fatalf("Header: %v", err)
	}
	return s
}

// special are the special events with data that the contract can send.
func (s *Suite) special() []Named {
	all := Special()
	for _, e := range all {
		e.Event.Data = s.event(string(e.Event.Data)).Data
	}
	return all
}

// event is an ordinary one.
func (s *Suite) event(data string) *hook.Event {
	if s.Data != nil {
		data = s.Data(data)
	}
	return Event(1, "a.b", data)
}

// Run checks that the dialect keeps what the suite promises. Golden files are
// in testdata/; with GRAPNEL_UPDATE=1 in the environment they are written
// instead of compared.
func Run(t *testing.T, d *dialect.Dialect, s Suite) {
	t.Run("Requests", func(t *testing.T) { requests(t, d, s) })
	t.Run("SameBodyFreshSignature", func(t *testing.T) { sameBody(t, d, s) })
	t.Run("OwnVerifier", func(t *testing.T) { ownVerifier(t, d, s) })
	t.Run("Headers", func(t *testing.T) { headers(t, d, s) })
	t.Run("Answers", func(t *testing.T) { answers(t, d, s) })
	t.Run("Schedule", func(t *testing.T) { schedule(t, d, s) })
	t.Run("Secrets", func(t *testing.T) { secrets(t, d, s) })
	if d.Timeout() != s.Timeout || d.OnInactive() != s.OnInactive || d.SecretOwner() != s.Owner || d.Subscription() != s.Subscription {
		t.Errorf("timeout %s, on_inactive %d, secret owner %d, subscription %d; want %s, %d, %d, %d", d.Timeout(), d.OnInactive(),
			d.SecretOwner(), d.Subscription(), s.Timeout, s.OnInactive, s.Owner, s.Subscription)
	}
}

// requests compares whole requests with golden files and has each verified.
func requests(t *testing.T, d *dialect.Dialect, s Suite) {
	for name, secrets := range s.Secrets {
		for _, e := range s.special() {
			sent := Send(t, d, e.Event, when.Add(time.Hour), 1, secrets...)
			golden(t, name+"_"+e.Name, sent)
			for i, secret := range secrets {
				if err := s.Verify(sent, secret); err != nil {
					t.Errorf("%s, %s: secret %d does not verify: %v", name, e.Name, i+1, err)
				}
				broken := sent
				broken.Body = bytes.Clone(sent.Body)
				broken.Body[len(broken.Body)/2] ^= 1
				if s.Verify(broken, secret) == nil {
					t.Errorf("%s, %s: verifies after a byte of the body changed", name, e.Name)
				}
			}
		}
	}
}

func golden(t *testing.T, name string, s Sent) {
	t.Helper()
	var got bytes.Buffer
	fmt.Fprintf(&got, "%s %s\n", s.Method, s.URL)
	for _, h := range s.Header {
		fmt.Fprintf(&got, "%s: %s\n", h.Name, h.Value)
	}
	got.WriteString("\n")
	got.Write(s.Body)
	file := filepath.Join("testdata", name+".http")
	if os.Getenv("GRAPNEL_UPDATE") == "1" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// sameBody: the body is the same on every call and for every attempt; the
// header is a fresh one for each.
func sameBody(t *testing.T, d *dialect.Dialect, s Suite) {
	for name, secrets := range s.Secrets {
		for _, e := range s.special() {
			first := Send(t, d, e.Event, when, 1, secrets...)
			again := Send(t, d, e.Event, when, 1, secrets...)
			later := Send(t, d, e.Event, when.Add(26*time.Hour), 4, secrets...)
			if !bytes.Equal(first.Body, again.Body) || !bytes.Equal(first.Body, later.Body) {
				t.Errorf("%s, %s: the body is not the same on each attempt", name, e.Name)
			}
			if diff := cmp.Diff(first.Header, again.Header); diff != "" {
				t.Errorf("%s, %s: the same attempt has another header:\n%s", name, e.Name, diff)
			}
			for _, secret := range secrets {
				if err := s.Verify(later, secret); err != nil {
					t.Errorf("%s, %s: a later attempt does not verify: %v", name, e.Name, err)
				}
			}
		}
	}
}

// ownVerifier: Dialect.Verify takes what Dialect.Header makes, with each of
// its secrets, and nothing that was changed.
func ownVerifier(t *testing.T, d *dialect.Dialect, s Suite) {
	for name, secrets := range s.Secrets {
		sent := Send(t, d, s.event(`{"a":"ü"}`), when, 1, secrets...)
		for i, secret := range secrets {
			key, err := d.VerifyKey(secret)
			if err != nil {
				t.Fatal(err)
			}
			got := dialect.Received{Method: sent.Method, URL: sent.URL, Header: sent.HTTPHeader(), Body: sent.Body,
				At: when.Add(time.Minute), Tolerance: 5 * time.Minute, Keys: []dialect.VerifyKey{key}}
			if err := d.Verify(got); err != nil {
				t.Errorf("%s: secret %d: %v", name, i+1, err)
			}
			got.Body = append(bytes.Clone(sent.Body), ' ')
			if d.Verify(got) == nil {
				t.Errorf("%s: secret %d: verifies with another body", name, i+1)
			}
			got.Body = sent.Body
			for _, signed := range s.Signatures {
				got.Header = sent.HTTPHeader()
				got.Header.Del(signed)
				if d.Verify(got) == nil {
					t.Errorf("%s: secret %d: verifies without %s", name, i+1, signed)
				}
			}
		}
	}
}

func headers(t *testing.T, d *dialect.Dialect, s Suite) {
	for name, secrets := range s.Secrets {
		want := strings.Join(s.Headers, "\n")
		if len(secrets) > 0 {
			want = strings.Join(append(strings.Split(want, "\n"), s.Signatures...), "\n")
		}
		sent := Send(t, d, s.event("1"), when, 1, secrets...)
		var got []string
		for _, h := range sent.Header {
			got = append(got, h.Name)
			if !d.Sends(strings.ToUpper(h.Name)) {
				t.Errorf("Sends(%s) is false", h.Name)
			}
			if h.Value == "" || strings.TrimSpace(h.Value) != h.Value || strings.Contains(h.Value, "  ") {
				t.Errorf("the value %q of %s has stray spaces", h.Value, h.Name)
			}
		}
		if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s: header names (-want +got):\n%s", name, diff)
		}
	}
}

func answers(t *testing.T, d *dialect.Dialect, s Suite) {
	seen := map[int]bool{}
	for _, v := range s.Verdicts {
		seen[v.Status] = true
		header := http.Header{}
		if v.RetryAfter != "" {
			header.Set("Retry-After", v.RetryAfter)
		}
		got := d.Judge(dialect.Answer{Status: v.Status, Header: header, At: when})
		got.Reason = ""
		if diff := cmp.Diff(v.Want, got); diff != "" {
			t.Errorf("status %d, Retry-After %q (-want +got):\n%s", v.Status, v.RetryAfter, diff)
		}
	}
	for result, statuses := range s.Answers {
		for _, status := range statuses {
			seen[status] = true
			got := d.Judge(dialect.Answer{Status: status, At: when})
			got.Reason = ""
			if diff := cmp.Diff(dialect.Verdict{Result: result}, got); diff != "" {
				t.Errorf("status %d (-want +got):\n%s", status, diff)
			}
		}
	}
	for status := 100; status <= 599; status++ { // I: what acknowledges is 2xx, in every dialect
		got := d.Judge(dialect.Answer{Status: status, At: when})
		if got.Result == dialect.Delivered && status/100 != 2 || got.Reason == "" {
			t.Errorf("status %d: %+v", status, got)
		}
	}
	for _, status := range []int{-1, 0, 99, 600, 999} { // case 44
		if got := d.Judge(dialect.Answer{Status: status, At: when}).Result; got == dialect.Delivered {
			t.Errorf("status %d counts as delivered", status)
		}
	}
	for _, class := range []string{"dns", "refused", "timeout_body", "blocked"} {
		if got := d.Judge(dialect.Answer{Status: 200, Class: class, At: when}).Result; got != s.NoAnswer {
			t.Errorf("no answer (%s): %d, want %d", class, got, s.NoAnswer)
		}
	}
	if len(seen) == 0 {
		t.Error("the suite has no answers")
	}
}

// schedule walks through the whole schedule in virtual time, with the least
// and the most jitter.
func schedule(t *testing.T, d *dialect.Dialect, s Suite) {
	plan := d.Schedule(nil)
	if diff := cmp.Diff(s.Waits, plan.Waits()); diff != "" {
		t.Fatalf("waits (-want +got):\n%s", diff)
	}
	for _, random := range []float64{0, 0.5, 0.999999} {
		now := when
		for i, wait := range s.Waits {
			at, ok := plan.Next(i+1, when, now, 0, random)
			if !ok {
				t.Fatalf("no attempt after %d", i+1)
			}
			low, high := now.Add(wait), now.Add(wait+time.Duration(float64(wait)*s.Jitter))
			if at.Before(low) || at.After(high) {
				t.Errorf("random %v: attempt %d is due after %s, want %s to %s", random, i+2, at.Sub(now), low.Sub(now), high.Sub(now))
			}
			now = at
		}
		if now.Sub(when) > plan.Span() {
			t.Errorf("the last attempt was after %s, past the span of %s", now.Sub(when), plan.Span())
		}
		if at, ok := plan.Next(len(s.Waits)+1, when, now, time.Hour, random); ok {
			t.Errorf("after the last attempt there is another at %s", at)
		}
	}
}

// secrets: a secret that the dialect makes is one that it takes.
func secrets(t *testing.T, d *dialect.Dialect, s Suite) {
	if s.Owner == dialect.SecretNone {
		if _, err := d.NewSecret(); err == nil {
			t.Error("a dialect without secrets makes one")
		}
		return
	}
	seen := map[hook.Secret]bool{}
	for range 20 {
		secret, err := d.NewSecret()
		if err != nil {
			t.Fatal(err)
		}
		if seen[secret] {
			t.Fatal("the same secret was made twice")
		}
		seen[secret] = true
		if err := s.Verify(Send(t, d, s.event("1"), when, 1, secret), secret); err != nil {
			t.Errorf("a new secret does not verify: %v", err)
		}
	}
	if _, err := d.Key(""); hook.CodeOf(err) != hook.CodeInvalid {
		t.Errorf("an empty secret: %v, want an error of code invalid", err)
	}
	_, err := d.Header(dialect.Request{Event: Event(1, "a.b", "1"), Keys: make([]dialect.Key, 1), At: when})
	if err == nil {
		t.Error("a zero Key signs")
	}
	_, err = d.Header(dialect.Request{Event: Event(1, "a.b", "1"), At: when})
	if (err != nil) != (s.Owner != dialect.SecretEndpointOptional) {
		t.Errorf("a request without keys: %v", err)
	}
}
