package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// maxKept bounds the answer that is remembered for an Idempotency-Key.
const maxKept = 64 << 10

// keptHeaders are the headers that a repeated answer has again.
var keptHeaders = []string{"Content-Type", "Location", "Etag"}

// keptAnswer is an answer as it is remembered.
type keptAnswer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"`
}

// keyed is a request with an Idempotency-Key, other than a publish.
type keyed struct {
	key         store.RequestKey
	fingerprint [32]byte // of all that decides what the request does
	kept        bool     // it is remembered with what it changed
}

// flights are the keyed requests that are being worked on.
type flights struct {
	mu sync.Mutex
	in map[store.RequestKey][32]byte
}

// begin refuses a request whose key is in flight.
func (f *flights) begin(k *keyed) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other, busy := f.in[k.key]; busy {
		if other != k.fingerprint {
			return keyMismatch()
		}
		return hook.Errorf(hook.CodeConflict, "a request with this Idempotency-Key is still being worked on: send it again in a moment")
	}
	if f.in == nil {
		f.in = map[store.RequestKey][32]byte{}
	}
	f.in[k.key] = k.fingerprint
	return nil
}

func (f *flights) end(k *keyed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.in, k.key)
}

func keyMismatch() error {
	return hook.Errorf(hook.CodeMismatch, "this Idempotency-Key came before with another request: use a new one")
}

// remembered reports whether a route's answers are remembered here: those of
// publishes are by ingest, together with the events.
func (r *routeRow) remembered(method string) bool {
	_, tar := r.out.(archive)
	return method == http.MethodPost && !r.publishes && !r.settled && !tar
}

// once makes a handler answer a request that comes again with the same
// Idempotency-Key as it did the first time, and change nothing. What failed is
// not remembered: it changed nothing, and may succeed the next time.
func (a *API) once(handle func(*call) error) func(*call) error {
	return func(c *call) error {
		key, err := idempotencyKey(c.r.Header)
		switch {
		case err != nil:
			return err
		case key == "":
			return handle(c)
		}
		return a.withKey(c, key, handle)
	}
}

func (a *API) withKey(c *call, key string, handle func(*call) error) error {
	k := &keyed{key: store.RequestKey{Scope: "call/" + c.caller.KeyID(), Key: key}}
	err := c.withBody(maxManage, func(body []byte) error {
		k.fingerprint = requestFingerprint(c.r, body)
		again := bytes.Clone(body)
		c.r.Body, c.r.ContentLength = io.NopCloser(bytes.NewReader(again)), int64(len(again))
		return nil
	})
	if err != nil {
		return err
	}
	if err := a.flights.begin(k); err != nil {
		c.Header().Set("Retry-After", retryAfter)
		return err
	}
	defer a.flights.end(k)
	if found, err := a.again(c, k); err != nil || found {
		return err
	}
	return a.first(c, k, handle)
}

// requestFingerprint tells a request by its method, address and body.
func requestFingerprint(r *http.Request, body []byte) [32]byte {
	h := sha256.New()
	for _, part := range []string{r.Method, r.URL.Path, r.URL.RawQuery} {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// again answers as before; false if the key is new.
func (a *API) again(c *call, k *keyed) (bool, error) {
	r, err := a.Manager.Remembered(c.r.Context(), k.key, a.IdempotencyWindow)
	if err != nil || r == nil {
		return false, err
	}
	if r.Fingerprint != k.fingerprint {
		return false, keyMismatch()
	}
	var kept keptAnswer
	if err := json.Unmarshal(r.Answer, &kept); err != nil {
		return false, err
	}
	for name, value := range kept.Header {
		c.Header().Set(name, value)
	}
	c.Header().Set("Idempotency-Replayed", "true")
	c.WriteHeader(kept.Status)
	c.Write(kept.Body)
	return true, nil
}

// first answers a request whose key is new, and remembers the answer before it
// is sent.
func (a *API) first(c *call, k *keyed, handle func(*call) error) error {
	c.keyed = k
	out := capture{header: c.Header()}
	err := c.into(&out, func() error { return handle(c) })
	switch {
	case manage.Taken(err): // another process was faster
		if found, err := a.again(c, k); err != nil || found {
			return err
		}
		return err
	case err != nil:
		return err
	}
	if !k.kept && out.succeeded() {
		// What it did is done. Failing now would only make the caller do it twice.
		if err := a.rememberAfter(c, k, &out); err != nil {
			a.Logger.Error("an answer is not remembered for its Idempotency-Key", "request_id", c.id[0], "route", route(c.r), "error", err)
		}
	}
	c.WriteHeader(out.status)
	_, err = c.Write(out.body.Bytes())
	return err
}

// rememberAfter remembers an answer when what it tells of is stored already.
func (a *API) rememberAfter(c *call, k *keyed, out *capture) error {
	r, err := a.record(k, out)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), 5*time.Second)
	defer cancel()
	return a.Manager.Remember(ctx, r)
}

func (a *API) record(k *keyed, out *capture) (*store.Request, error) {
	if out.body.Len() > maxKept {
		return nil, hook.Errorf(hook.CodeTooLarge, "the answer would have %d bytes, of which at most %d are remembered for an Idempotency-Key: send the request without one", out.body.Len(), maxKept)
	}
	kept := keptAnswer{Status: out.status, Header: map[string]string{}, Body: out.body.Bytes()}
	for _, name := range keptHeaders {
		if v := out.header.Get(name); v != "" {
			kept.Header[name] = v
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	return a.Manager.Request(k.key, k.fingerprint, text)
}

// keep makes the request that is remembered in the same transaction as what it
// makes: answer writes what the caller will be told. nil: it has no key.
func keep[T any](a *API, c *call, answer func(made *T, secret hook.Secret) error) manage.Keep[T] {
	if c.keyed == nil {
		return nil
	}
	return func(made *T, secret hook.Secret) (*store.Request, error) {
		out := capture{header: c.Header().Clone()}
		if err := c.into(&out, func() error { return answer(made, secret) }); err != nil {
			return nil, err
		}
		c.keyed.kept = true
		return a.record(c.keyed, &out)
	}
}

// capture takes an answer down instead of sending it.
type capture struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *capture) Header() http.Header         { return w.header }
func (w *capture) WriteHeader(status int)      { w.status = status }
func (w *capture) Write(b []byte) (int, error) { return w.body.Write(b) }

// succeeded reports whether the answer tells of something that was done.
func (w *capture) succeeded() bool {
	return w.status >= 200 && w.status < 300 && w.header.Get("Dry-Run") == ""
}

// into lets fn answer into out, and leaves the call as if it had not.
func (c *call) into(out *capture, fn func() error) error {
	w, status := c.ResponseWriter, c.Status
	c.ResponseWriter, c.Status = out, 0
	defer func() { c.ResponseWriter, c.Status = w, status }()
	err := fn()
	if err == nil && out.status == 0 {
		out.status = http.StatusOK
	}
	return err
}
