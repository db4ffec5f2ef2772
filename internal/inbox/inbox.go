package inbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// Config is what an Inbox is made from.
type Config struct {
	Name    string
	Secrets []hook.Secret // as the receiver has them; empty: signatures are not checked
	// Dialect is the contract that signatures are checked by; nil: Standard
	// Webhooks, by code that has nothing in common with the sender's.
	Dialect *dialect.Dialect
	Reply   Reply
	Keep    int              // requests to keep; 0: 100
	MaxBody int64            // bytes of a body that are read; 0: 4 MiB
	Now     func() time.Time // the receiver's clock
	Random  func() float64   // drives Reply.FailRate; nil: math/rand
	Observe func(*Request)   // called for each request before it is answered; may be nil
}

// Request is a request that an inbox got. It does not change any more.
type Request struct {
	Inbox    string      `json:"inbox,omitempty"`
	N        int         `json:"n"` // 1 for the inbox's first
	At       time.Time   `json:"at"`
	Method   string      `json:"method"`
	Path     string      `json:"path"`
	Header   http.Header `json:"header"`
	Body     string      `json:"body,omitempty"` // empty when it is not UTF-8
	Raw      []byte      `json:"-"`              // the body's exact bytes
	Size     int         `json:"size"`
	SHA256   string      `json:"sha256"`
	ID       string      `json:"id,omitempty"` // webhook-id
	Checked  bool        `json:"checked"`      // there was a secret to check the signature with
	Verified bool        `json:"verified"`
	Reason   string      `json:"reason,omitempty"` // why it is not verified
	Status   int         `json:"status"`           // what was answered
}

// Inbox is a receiver of webhooks. It is an http.Handler for all methods and
// paths.
type Inbox struct {
	cfg Config

	mu    sync.Mutex
	keys  []key
	by    []dialect.VerifyKey // for a dialect
	reply Reply
	count int
	last  []*Request // oldest first
}

// New makes an inbox. It fails on a secret or a reply that cannot be used.
func New(cfg Config) (*Inbox, error) {
	if cfg.Keep == 0 {
		cfg.Keep = 100
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 4 << 20
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	if cfg.Now == nil {
		return nil, errors.New("an inbox needs a clock")
	}
	b := &Inbox{cfg: cfg}
	if err := b.SetReply(cfg.Reply); err != nil {
		return nil, err
	}
	return b, b.SetSecrets(cfg.Secrets)
}

// SetSecrets changes the secrets that signatures are checked with, from the
// next request on.
func (b *Inbox) SetSecrets(secrets []hook.Secret) error {
	keys := make([]key, 0, len(secrets))
	var by []dialect.VerifyKey
	for _, s := range secrets {
		if d := b.cfg.Dialect; d != nil {
			k, err := d.VerifyKey(s)
			if err != nil {
				return err
			}
			by = append(by, k)
			continue
		}
		k, err := parseKey(string(s))
		if err != nil {
			return err
		}
		keys = append(keys, k)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys, b.by = keys, by
	return nil
}

// SetReply changes how the next requests are answered.
func (b *Inbox) SetReply(r Reply) error {
	if err := r.Validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reply = r
	return nil
}

// Reply is how the next request will be answered.
func (b *Inbox) Reply() Reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reply
}

// Requests lists the requests that are kept, newest first.
func (b *Inbox) Requests() []*Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]*Request, 0, len(b.last))
	for i := len(b.last) - 1; i >= 0; i-- {
		out = append(out, b.last[i])
	}
	return out
}

// ServeHTTP takes a request in and answers it.
func (b *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, b.cfg.MaxBody))
	if err != nil {
		http.Error(w, "the body could not be read, or is too large for this inbox", http.StatusRequestEntityTooLarge)
		return
	}
	req, reply := b.take(r, body)
	if b.cfg.Observe != nil {
		b.cfg.Observe(req)
	}
	if reply.DelayMS > 0 {
		select {
		case <-time.After(time.Duration(reply.DelayMS) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	if reply.RetryAfter > 0 && req.Status >= 300 {
		w.Header().Set("Retry-After", strconv.Itoa(reply.RetryAfter))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(req.Status)
	if req.Status != http.StatusNoContent && req.Status != http.StatusNotModified {
		// The peer may have gone; there is nobody to tell.
		_, _ = io.WriteString(w, reply.Body)
	}
}

// take records a request and decides its answer.
func (b *Inbox) take(r *http.Request, body []byte) (*Request, Reply) {
	sum := sha256.Sum256(body)
	req := &Request{
		Inbox: b.cfg.Name, At: b.cfg.Now(), Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(),
		Raw: body, Size: len(body), SHA256: hex.EncodeToString(sum[:]), ID: r.Header.Get("webhook-id"),
	}
	if utf8.Valid(body) {
		req.Body = string(body)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	req.N = b.count
	b.check(req, r.Host)
	req.Status = b.reply.next(b.cfg.Random)
	b.last = append(b.last, req)
	if len(b.last) > b.cfg.Keep {
		b.last = append(b.last[:0], b.last[len(b.last)-b.cfg.Keep:]...)
	}
	return req, b.reply
}

func (b *Inbox) check(req *Request, host string) {
	if len(b.keys)+len(b.by) == 0 {
		req.Reason = "there is no secret to check the signature with"
		return
	}
	req.Checked = true
	var err error
	if d := b.cfg.Dialect; d != nil {
		err = d.Verify(dialect.Received{Method: req.Method, URL: "http://" + host + req.Path, Header: req.Header, Body: req.Raw, At: req.At, Tolerance: Tolerance, Keys: b.by})
	} else {
		err = verify(b.keys, req.Header, req.Raw, req.At)
	}
	if err != nil {
		req.Reason = err.Error()
		return
	}
	req.Verified = true
}
