package oauth2

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// How long tokens are used.
const (
	unsaid  = 5 * time.Minute  // where the answer does not say when one expires
	margin  = 30 * time.Second // before that, or a fifth of its time if that is less
	longest = 24 * time.Hour
)

// maxToken bounds a token, in bytes: it goes in a header.
const maxToken = 8 << 10

// maxKept bounds the tokens that are kept.
const maxKept = 10_000

// Sender makes a request; egress.Client is one.
type Sender interface {
	Do(ctx context.Context, r *egress.Request) *egress.Result
}

// Client is what a token is asked for with.
type Client struct {
	TokenURL, ID    string
	Secret          hook.Secret
	Scope, Audience string // "": not sent
	InBody          bool   // id and secret go in the body
}

// Tokens gets tokens and keeps them. It is safe for concurrent use.
type Tokens struct {
	sender Sender

	mu   sync.Mutex
	kept map[hook.EndpointNum]*entry
}

// entry is an endpoint's token, or the request for it.
type entry struct {
	of     [32]byte      // the client that it is for
	done   chan struct{} // closed when token or err is there
	token  hook.Secret
	err    error
	unless time.Time // not used from then on
}

// New makes a store of tokens without any.
func New(sender Sender) *Tokens {
	return &Tokens{sender: sender, kept: make(map[hook.EndpointNum]*entry)}
}

// Get gives the token of an endpoint, or asks for one within timeout. The error is a
// sentence for the endpoint's owner; context.Canceled is in it where the caller gave up.
func (t *Tokens) Get(ctx context.Context, of hook.EndpointNum, c *Client, timeout time.Duration) (hook.Secret, error) {
	id := c.fingerprint()
	end := time.NewTimer(timeout)
	defer end.Stop()
	for {
		e, mine := t.entry(of, id, time.Now())
		if mine {
			t.ask(ctx, of, e, c, timeout)
			return e.token, e.err
		}
		select {
		case <-e.done:
		case <-ctx.Done():
			return "", context.Canceled
		case <-end.C:
			return "", errors.New("the token endpoint did not answer in time")
		}
		if errors.Is(e.err, context.Canceled) && ctx.Err() == nil {
			continue // whoever asked gave up, and we have not
		}
		return e.token, e.err
	}
}

// entry finds the entry of an endpoint, or makes one: then the caller is to ask.
func (t *Tokens) entry(of hook.EndpointNum, id [32]byte, now time.Time) (e *entry, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e = t.kept[of]; e != nil && e.of == id && (e.unless.IsZero() || now.Before(e.unless)) {
		return e, false
	}
	if len(t.kept) >= maxKept {
		t.makeRoom(now)
	}
	e = &entry{of: id, done: make(chan struct{})}
	t.kept[of] = e
	return e, true
}

// makeRoom forgets what has expired, or else any one that is not being asked for.
func (t *Tokens) makeRoom(now time.Time) {
	for of, e := range t.kept {
		if !e.unless.IsZero() && !now.Before(e.unless) {
			delete(t.kept, of)
		}
	}
	for of, e := range t.kept {
		if len(t.kept) < maxKept {
			return
		}
		if !e.unless.IsZero() {
			delete(t.kept, of)
		}
	}
}

// Forget drops a token that the endpoint has refused; the next attempt asks for another.
func (t *Tokens) Forget(of hook.EndpointNum, refused hook.Secret) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.kept[of]
	if e == nil || e.unless.IsZero() {
		return // one is being asked for
	}
	if subtle.ConstantTimeCompare([]byte(e.token), []byte(refused)) == 1 {
		delete(t.kept, of)
	}
}

// ask fills the entry. One without a token does not stay, even if something breaks.
func (t *Tokens) ask(ctx context.Context, of hook.EndpointNum, e *entry, c *Client, timeout time.Duration) {
	var lifetime time.Duration
	e.err = errors.New("the token could not be got")
	defer func() {
		t.mu.Lock()
		if e.err == nil {
			e.unless = time.Now().Add(lifetime)
		} else if t.kept[of] == e {
			delete(t.kept, of)
		}
		t.mu.Unlock()
		close(e.done)
	}()
	var got hook.Secret
	var err error
	r := t.sender.Do(ctx, c.request(timeout))
	got, lifetime, err = read(r)
	e.token, e.err = got, err
}

// fingerprint tells clients apart.
func (c *Client) fingerprint() [32]byte {
	h := sha256.New()
	for _, part := range []string{c.TokenURL, c.ID, string(c.Secret), c.Scope, c.Audience, strconv.FormatBool(c.InBody)} {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return [32]byte(h.Sum(nil))
}

// request asks for a token, as RFC 6749 has it in sections 2.3.1 and 4.4.2.
func (c *Client) request(timeout time.Duration) *egress.Request {
	form := url.Values{"grant_type": {"client_credentials"}}
	if c.Scope != "" {
		form.Set("scope", c.Scope)
	}
	if c.Audience != "" {
		form.Set("audience", c.Audience)
	}
	header := []hook.Header{{Name: "Accept", Value: "application/json"}, {Name: "Content-Type", Value: "application/x-www-form-urlencoded"}, {Name: "User-Agent", Value: "Grapnel"}}
	if c.InBody {
		form.Set("client_id", c.ID)
		form.Set("client_secret", string(c.Secret))
	} else {
		pair := url.QueryEscape(c.ID) + ":" + url.QueryEscape(string(c.Secret))
		header = append(header, hook.Header{Name: "Authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))})
	}
	return &egress.Request{Method: http.MethodPost, URL: c.TokenURL, Header: header, Body: []byte(form.Encode()), Timeout: timeout}
}

// answer is what a token endpoint says.
type answer struct {
	Type      string          `json:"token_type"`
	ExpiresIn json.RawMessage `json:"expires_in"` // a number; some write it as a text
	Error     string          `json:"error"`
}

// read makes a token of an answer, or says why there is none.
func read(r *egress.Result) (hook.Secret, time.Duration, error) {
	switch {
	case r.Class == egress.ClassCanceled:
		return "", 0, context.Canceled
	case r.Class != "":
		return "", 0, errors.New("the token endpoint: " + r.Detail)
	}
	var a answer
	var text struct {
		Token string `json:"access_token"`
	}
	bad := json.Unmarshal(r.Body, &a) != nil || json.Unmarshal(r.Body, &text) != nil
	if r.Status != http.StatusOK {
		said := "the token endpoint answered " + strconv.Itoa(r.Status)
		if !bad && slices.Contains(codes, a.Error) {
			said += ": " + a.Error
		}
		return "", 0, errors.New(said)
	}
	token := hook.Secret(text.Token)
	switch {
	case bad || r.Truncated:
		return "", 0, errors.New("the token endpoint's answer is not the JSON object that RFC 6749 asks for")
	case text.Token == "":
		return "", 0, errors.New("the token endpoint's answer holds no access_token")
	case len(token) > maxToken || strings.ContainsFunc(text.Token, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return "", 0, errors.New("the token endpoint's access_token is too long for a header, or holds characters that no header may")
	case a.Type != "" && !strings.EqualFold(a.Type, "bearer"):
		return "", 0, errors.New("the token endpoint's token_type is not Bearer")
	}
	return token, lifetimeOf(a.ExpiresIn), nil
}

// codes are the errors that RFC 6749 (sections 5.2 and 4.1.2.1) and RFC 8707 list.
var codes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
	"access_denied", "server_error", "temporarily_unavailable", "invalid_target",
}

// lifetimeOf is how long a token is used.
func lifetimeOf(expiresIn json.RawMessage) time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(string(expiresIn), `"`), 64)
	if err != nil || seconds != seconds || seconds < 0 {
		return unsaid - margin
	}
	all := time.Duration(min(seconds, longest.Seconds()) * float64(time.Second))
	return all - min(margin, all/5)
}
