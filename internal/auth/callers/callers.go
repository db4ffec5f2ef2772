package callers

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/hook"
)

// Config is what Callers work with.
type Config struct {
	Auth    *auth.Authenticator // required
	Logger  *slog.Logger        // required
	Keys    Rate                // of requests with one key
	Failed  Rate                // of wrong keys from one address
	Proxies []netip.Prefix      // ranges of proxies that are believed about who calls
	Now     func() time.Time    // nil: time.Now
}

// Callers recognises those who call, and counts them where there are limits.
// All faces of a server share one, so that a limit is one for all of them.
type Callers struct {
	auth    *auth.Authenticator
	proxies proxies
	now     func() time.Time
	keys    *keyLimit   // nil: no limit
	failed  *failedKeys // nil: no limit
}

// New makes Callers.
func New(c Config) (*Callers, error) {
	if c.Auth == nil || c.Logger == nil {
		return nil, errors.New("make the callers: a part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Callers{auth: c.Auth, proxies: c.Proxies, now: c.Now, keys: newKeyLimit(c.Keys), failed: newFailedKeys(c.Failed, c.Logger)}, nil
}

// Bearer recognises the caller by a request's Authorization header. answer gets
// what the caller is told of limits. Errors are of CodeUnauthorized,
// CodeRateLimited and CodeUnavailable; with a limit in the way, the caller is
// told all the same, for the log.
func (c *Callers) Bearer(answer http.Header, r *http.Request) (*auth.Principal, error) {
	given := r.Header.Get("Authorization")
	p, err := c.auth.Authenticate(given)
	return c.counted(answer, r, given != "", p, err)
}

// Key recognises the caller by a key that a request carries elsewhere. All else
// is as in Bearer.
func (c *Callers) Key(answer http.Header, r *http.Request, key hook.Secret) (*auth.Principal, error) {
	p, err := c.auth.AuthenticateKey(string(key))
	return c.counted(answer, r, key != "", p, err)
}

// counted counts a request with a key. One without is nobody's guess.
func (c *Callers) counted(answer http.Header, r *http.Request, given bool, p *auth.Principal, err error) (*auth.Principal, error) {
	switch {
	case c.failed == nil:
	case err == nil:
		err = c.worked(answer, r, p.KeyID())
	case given && hook.CodeOf(err) == hook.CodeUnauthorized:
		err = c.failed.failed(answer, c.Client(r), c.now(), err)
	}
	if err == nil && c.keys != nil {
		err = c.keys.pass(answer, p.KeyID(), c.now())
	}
	return p, err
}

// worked is told of a key that is right, and is an error all the same where too
// many were wrong before. Of a key that has worked on the connection nothing
// more has to be found out, unless others may speak through it.
func (c *Callers) worked(answer http.Header, r *http.Request, id string) error {
	at := connectionOf(r)
	if at == nil || len(c.proxies) > 0 {
		return c.failed.worked(answer, c.Client(r), id, c.now())
	}
	if last := at.good.Load(); last != nil && *last == id {
		return nil
	}
	err := c.failed.worked(answer, at.peer, id, c.now())
	if err == nil {
		at.good.Store(&id)
	}
	return err
}

// Client is the address of whoever made a request: the peer's, or what a
// trusted proxy says.
func (c *Callers) Client(r *http.Request) netip.Addr { return c.proxies.client(r) }

// Failing is how many addresses are remembered for their wrong keys.
func (c *Callers) Failing() int {
	if c.failed == nil {
		return 0
	}
	c.failed.buckets.mu.Lock()
	defer c.failed.buckets.mu.Unlock()
	return len(c.failed.buckets.of)
}
