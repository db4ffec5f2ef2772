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
	HTTP *http.Client // nil: one with a timeout of 30 s
}

// Client calls one server with one key. It may be used by many goroutines.
type Client struct {
	base string
	key  string
	http *http.Client
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 32 << 20

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
	c := &Client{base: strings.TrimRight(cfg.URL, "/"), key: cfg.Key, http: cfg.HTTP}
	if c.http == nil {
		c.http = &http.Client{Timeout: 30 * time.Second}
	}
	return c, nil
}

// FieldError says which part of the input is wrong.
type FieldError struct {
	Pointer string `json:"pointer"` // JSON pointer into the input
	Detail  string `json:"detail"`
}

// Error is a problem that the server answered with (RFC 9457).
type Error struct {
	Status   int          `json:"status"`
	Type     string       `json:"type"` // URL of the problem's page
	Title    string       `json:"title"`
	Detail   string       `json:"detail"`
	Instance string       `json:"instance"` // the request's id, for the server's log
	Errors   []FieldError `json:"errors"`

	RetryAfter time.Duration `json:"-"` // when to try again, if the server said so
}

// Error is the problem in one line.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	if text == "" {
		text = http.StatusText(e.Status)
	}
	for _, f := range e.Errors {
		if !strings.Contains(text, f.Detail) {
			text += "; " + f.Pointer + " " + f.Detail
		}
	}
	return text
}

// call sends in (nil: no body) and reads the answer into out (nil: ignored).
func (c *Client) call(ctx context.Context, method, path string, header http.Header, in, out any) error {
	var body []byte
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		body = b
	}
	return c.send(ctx, method, path, header, body, out)
}

// send sends a body (nil: none) and reads the answer into out (nil: ignored).
func (c *Client) send(ctx context.Context, method, path string, header http.Header, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("User-Agent", "grapnel-client/1")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode/100 != 2 {
		return problem(res, answer)
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the server's answer to %s %s cannot be read: %w", method, path, err)
	}
	return nil
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
