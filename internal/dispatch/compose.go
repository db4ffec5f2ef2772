package dispatch

import (
	"context"
	"errors"
	"slices"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
)

// Composer makes requests as endpoints get them, for those who are shown them
// instead. It is made of the same pieces as an attempt.
type Composer struct {
	Dialects  *dialect.Registry
	Ring      *keyring.Ring
	PublicURL string
	Pins      *Pins // nil: bodies are made with what there is now
}

// Message is a request that is ready to be sent.
type Message struct {
	Method string
	URL    string        // the endpoint's, with what the contract adds to it
	Header []hook.Header // in order, names in the case of the contract
	Body   []byte
}

// Compose makes the request that an endpoint would get of an event now, as its
// first attempt. keys sign it; nil stands for the endpoint's own secrets, or
// its tenant's where the contract says so. The error is a sentence for the
// endpoint's owner.
func (c *Composer) Compose(event *hook.Event, e *hook.Endpoint, t *hook.Tenant, keys []dialect.Key, now time.Time) (*Message, error) {
	d, ok := c.Dialects.Get(e.Dialect)
	if !ok {
		return nil, noDialect(e.Dialect)
	}
	made, err := c.render(event, e, t)
	if err != nil {
		return nil, err
	}
	extra := e.Headers
	if keys == nil {
		s, err := openKeys(c.Ring, d, e, t, now)
		if err != nil {
			return nil, err
		}
		if keys, err = s.signing(d.SecretOwner(), now); err != nil {
			return nil, err
		}
		if extra = s.headers; s.client != nil { // no token is asked for to show a request
			extra = append(slices.Clip(extra), hook.Header{Name: authorization, Value: hook.Hidden})
		}
	}
	url, header, err := headerOf(d, dialect.Request{Event: event, Endpoint: e, Tenant: t, Extra: overlaid(extra, made.header), Body: made.body, At: now, N: 1, Keys: keys})
	if err != nil {
		return nil, err
	}
	return &Message{Method: d.Method(), URL: url, Header: header, Body: made.body}, nil
}

// errPurged keeps what is left of a purged event from being sent for it.
var errPurged = errors.New("the event was purged, so that there is nothing to send")

// Render makes the body that an endpoint, which may be deleted, gets of an
// event: what was sent, or will be. The error is a sentence for the endpoint's
// owner.
func (c *Composer) Render(event *hook.Event, e *hook.Endpoint, t *hook.Tenant) ([]byte, error) {
	made, err := c.render(event, e, t)
	return made.body, err
}

func (c *Composer) render(event *hook.Event, e *hook.Endpoint, t *hook.Tenant) (rendered, error) {
	if event.Purged() {
		return rendered{}, errPurged
	}
	d, ok := c.Dialects.Get(e.Dialect)
	if !ok {
		return rendered{}, noDialect(e.Dialect)
	}
	return c.Pins.render(context.Background(), d, c.PublicURL, event, e, t)
}

// headerOf says where an attempt goes and makes its header: what the contract
// sends, signed, then what the endpoint wants besides, which is opened. Of r,
// URL and Method are set here.
func headerOf(d *dialect.Dialect, r dialect.Request) (url string, header []hook.Header, err error) {
	r.URL, r.Method = r.Endpoint.URL, d.Method()
	r.URL = d.URL(r)
	if header, err = d.Header(r); err != nil {
		return "", nil, errors.New("the request cannot be signed: " + err.Error())
	}
	return r.URL, header, nil
}

func noDialect(name string) error { return errors.New("there is no dialect \"" + name + "\"") }
