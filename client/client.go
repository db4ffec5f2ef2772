package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config is what a Client is made from.
type Config struct {
	URL  string       // the server, such as "http://127.0.0.1:8080", without /v1
	Key  string       // an API key
	HTTP *http.Client // nil: one with a timeout of 30 s for each try of a call

	// Retries is how often a call that is safe to repeat is tried again. 0
	// stands for 3; a negative number for never.
	Retries int
}

// Client calls one server with one key. It may be used by many goroutines.
type Client struct {
	base    string
	key     string
	http    *http.Client
	retries int
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 256 << 20

// defaultTimeout bounds one try of a call.
const defaultTimeout = 30 * time.Second

// New makes a client.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the server's URL %q is not an absolute http or https URL", cfg.URL)
	}
	if cfg.Key == "" {
		return nil, errors.New("an API key is needed")
	}
	if strings.ContainsFunc(cfg.Key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("the API key holds a line break or another control character")
	}
	c := &Client{base: strings.TrimRight(cfg.URL, "/"), key: cfg.Key, http: cfg.HTTP, retries: cfg.Retries}
	if c.http == nil {
		c.http = &http.Client{Timeout: defaultTimeout}
	}
	switch {
	case c.retries == 0:
		c.retries = defaultRetries
	case c.retries < 0:
		c.retries = 0
	}
	return c, nil
}

// request is one call of the API.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte // nil: none

	safe   bool // to repeat, whatever became of the first one
	denied bool // a failed condition may be this call's own doing, so that it is unsafe to repeat where that is open
}

// newRequest makes a request with what the options say. Segments are escaped.
func newRequest(method string, segments []string, options []Option) *request {
	r := &request{method: method, path: path(segments...), query: url.Values{}, header: http.Header{}}
	r.safe = method != http.MethodPost
	for _, o := range options {
		o(r)
	}
	return r
}

// at is the path of something.
func at(segments ...string) []string { return segments }

// call sends in (nil: no body) and reads the answer into out (nil: ignored).
func (c *Client) call(ctx context.Context, method string, segments []string, options []Option, in, out any) error {
	r := newRequest(method, segments, options)
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		r.body = b
	}
	return c.send(ctx, r, out)
}

// answered is an answer that tells more of itself than its body.
type answered interface{ noteMeta(http.Header) }

// send sends a request, again where that is safe, and reads the answer into
// out (nil: ignored).
func (c *Client) send(ctx context.Context, r *request, out any) error {
	if err := r.check(); err != nil {
		return err
	}
	res, err := c.try(ctx, c.http, r)
	if err != nil {
		return err
	}
	if res.status == http.StatusNotModified {
		return ErrNotModified
	}
	if out == nil {
		return nil
	}
	if len(res.body) > 0 {
		if err := json.Unmarshal(res.body, out); err != nil {
			return fmt.Errorf("the server's answer to %s %s cannot be read: %w", r.method, r.path, err)
		}
	}
	if m, ok := out.(answered); ok {
		m.noteMeta(res.header)
	}
	return nil
}

// check refuses what no request can carry: sending it would fail as if the server could
// not be reached.
func (r *request) check() error {
	for name, values := range r.header {
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c > '~' }) {
				return fmt.Errorf("the %s holds printable ASCII only", name)
			}
		}
	}
	return nil
}

// answer is an answer that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// once sends a request one time. Its error is an *Error if the server refused.
func (c *Client) once(ctx context.Context, h *http.Client, r *request) (*answer, error) {
	res, err := c.do(ctx, h, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode/100 != 2 && res.StatusCode != http.StatusNotModified {
		return nil, problem(res, body)
	}
	return &answer{res.StatusCode, res.Header, body}, nil
}

// do makes the HTTP request. The caller closes the answer's body.
func (c *Client) do(ctx context.Context, h *http.Client, r *request) (*http.Response, error) {
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("User-Agent", "grapnel-client/1")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return h.Do(req)
}

// stream makes a request whose answer is read as it comes, for as long as ctx
// lasts. The caller closes it.
func (c *Client) stream(ctx context.Context, r *request) (io.ReadCloser, error) {
	h := *c.http
	h.Timeout = 0
	res, err := c.do(ctx, &h, r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 == 2 {
		return res.Body, nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return nil, problem(res, body)
}

func problem(res *http.Response, answer []byte) error {
	e := &Error{}
	if err := json.Unmarshal(answer, e); err != nil || e.Title == "" && e.Detail == "" {
		e = &Error{Title: "the server answered " + res.Status}
	}
	e.Status = res.StatusCode
	if e.Type != "" {
		if u, err := res.Request.URL.Parse(e.Type); err == nil {
			e.Type = u.String()
		}
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s >= 0 {
		e.RetryAfter = time.Duration(s) * time.Second
		e.asked = true
	}
	return e
}

// path joins segments, each escaped, under /v1.
func path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/v1")
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}
