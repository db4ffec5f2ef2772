package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

type signCmd struct {
	Dialect string `default:"standard" placeholder:"NAME" help:"Contract to sign by: a name that grapnel dialect list shows, or the file of one (default ${default})."`
	signing
}

// signing are the flags of what signs.
type signing struct {
	SecretFile []string `placeholder:"FILE" help:"File that holds the secret; with - the first line of standard input is the secret. Several during a rotation, the newest first. Needed unless the contract can do without."`
	Event      bool     `help:"Standard input is the data of an event: make the body of it, and print it behind the headers and an empty line."`
	ID         string   `placeholder:"ID" help:"The event's id (default: a new one)."`
	TS         unixTime `name:"ts" placeholder:"TIME" help:"Time of the attempt, in Unix seconds or RFC 3339 (default: now)."`
	Type       string   `default:"test.event" placeholder:"TYPE" help:"The event's type, for contracts that send it (default ${default})."`
	Metadata   string   `placeholder:"JSON" help:"The event's metadata, for contracts that send some of it: JSON, or @FILE."`
	To         string   `default:"https://example.com/hook" placeholder:"URL" help:"Where it goes, for contracts that sign the URL (default ${default})."`
	Header     string   `xor:"form" placeholder:"NAME" help:"Print the value of this header alone."`
	Curl       string   `xor:"form" placeholder:"URL" help:"Print a curl command that sends the request to this URL."`
}

// Help gives examples.
func (*signCmd) Help() string {
	return `Standard input is the body, to the last byte: an attempt with this body carries the headers
that are printed. Use printf or a file rather than echo, which adds a line break.

Examples:

    printf '{"type":"user.created","data":{"id":1}}' | grapnel sign --secret-file secret.txt
    grapnel sign --secret-file secret.txt --id evt_1 --ts 1767366245 --json < body.json
    grapnel sign --secret-file secret.txt --curl http://127.0.0.1:9000/hook < body.json
    grapnel sign --dialect api2cart --secret-file secret.txt --type product.add --event < invoice.json`
}

// Run signs.
func (c *signCmd) Run(p *program) error {
	d, err := dialectNamed(c.Dialect)
	if err != nil {
		return err
	}
	return c.sign(p, d)
}

// unixTime is a flag that is a moment: Unix seconds, or RFC 3339.
type unixTime struct{ time.Time }

// UnmarshalText reads the flag.
func (t *unixTime) UnmarshalText(text []byte) error {
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil && n >= 0 && n < 1e11 {
		t.Time = time.Unix(n, 0)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is no moment; write Unix seconds such as 1767366245, or RFC 3339 such as 2026-01-02T15:04:05Z", text)
	}
	t.Time = at
	return nil
}

// signedShape is what --json prints.
type signedShape struct {
	Dialect   string        `json:"dialect"`
	ID        string        `json:"id"`
	Timestamp int64         `json:"timestamp"` // Unix seconds
	Method    string        `json:"method"`
	Headers   []headerShape `json:"headers"`        // in the order in which they are sent
	Bytes     int           `json:"bytes"`          // of the body
	URL       string        `json:"url,omitempty"`  // where it goes, if the contract adds to it
	Body      string        `json:"body,omitempty"` // if it was made here
}

type headerShape struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// maxBody bounds what is read as a body.
const maxBody = 64 << 20

// sign signs what is on standard input.
func (c *signing) sign(p *program, d *dialect.Dialect) error {
	in := bufio.NewReader(io.LimitReader(p.stdin, maxBody+maxSecretFile))
	keys, err := c.keys(d, in)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	if c.Event { // as grapnel send takes it: white space around JSON is no data
		body = bytes.TrimSpace(body)
	}
	to := c.To
	if c.Curl != "" {
		to = c.Curl
	}
	e, id, at, err := c.event(body)
	if err != nil {
		return err
	}
	if c.Event {
		if !json.Valid(body) {
			return fail(exitInvalid, "give the data of an event, such as {\"id\":1}", "--event: standard input is not JSON")
		}
		if body, err = exampleBody(d, e); err != nil {
			return fail(exitInvalid, "grapnel dialect show "+d.Name()+" says what the body is made of; --metadata gives the metadata", "the body cannot be made: %w", err)
		}
	} else if len(body) == 0 {
		p.note("note: the body is empty")
	}
	if len(keys) == 0 && d.SecretOwner() != dialect.SecretNone {
		p.note("note: there is no secret, so nothing is signed")
	}
	r := dialect.Request{Event: e, ID: id, Endpoint: exampleEndpoint(d), Tenant: exampleTenant(), URL: to, Method: d.Method(), Body: body, At: at, N: 1, Keys: keys}
	r.URL = d.URL(r)
	if c.Curl != "" {
		c.Curl = r.URL
	}
	headers, err := d.Header(r)
	if err != nil {
		return err
	}
	s := &signedShape{Dialect: d.Name(), ID: id, Timestamp: at.Unix(), Method: d.Method(), Headers: shapes(headers), Bytes: len(body)}
	if r.URL != to {
		s.URL = r.URL
	}
	if c.Event {
		s.Body = string(body)
	}
	return c.print(p, s, body, d.HTTP1())
}

// event is the event that is signed for, with its id and the attempt's time.
func (c *signing) event(data []byte) (e *hook.Event, id string, at time.Time, err error) {
	at, id = c.TS.Time, c.ID
	if at.IsZero() {
		at = time.Now()
	}
	e = &hook.Event{ID: hook.NextEventID(0, at, randomTail()), Type: c.Type, Time: at, Data: data, Number: 1}
	switch {
	case id == "":
		id = e.ID.String()
	case strings.Trim(id, idChars) != "" || len(id) > maxEventID:
		return nil, "", at, fail(exitInvalid, "use letters, digits, _ and -, such as evt_1", "the id %q cannot be sent and signed", hook.Clip(id))
	}
	if c.Metadata != "" {
		if e.Metadata, err = readJSON("metadata", c.Metadata, nil); err != nil {
			return nil, "", at, err
		}
	}
	return e, id, at, nil
}

// idChars are what an event's id may consist of here: what stands in a header
// and holds no dot, which separates what is signed.
const idChars = "_-:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

const maxEventID = 256

func shapes(headers []hook.Header) []headerShape {
	out := make([]headerShape, len(headers))
	for i, h := range headers {
		out[i] = headerShape{h.Name, h.Value}
	}
	return out
}

func (c *signing) keys(d *dialect.Dialect, in *bufio.Reader) ([]dialect.Key, error) {
	if owner := d.SecretOwner(); len(c.SecretFile) == 0 && (owner == dialect.SecretEndpoint || owner == dialect.SecretTenant) {
		return nil, fail(exitUsage, "name the file that holds the secret; grapnel keygen makes one", "missing flags: --secret-file=FILE,...")
	}
	secrets, err := readSecrets(c.SecretFile, in)
	if err != nil {
		return nil, err
	}
	var keys []dialect.Key
	for i, s := range secrets {
		k, err := d.Key(s)
		if err != nil {
			return nil, fail(exitUsage, "use the secret as Grapnel showed it, alone in its file; grapnel keygen makes one", "%s: %w", c.SecretFile[i], err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (c *signing) print(p *program, s *signedShape, body []byte, http1 bool) error {
	switch {
	case c.Header != "":
		i := slices.IndexFunc(s.Headers, func(h headerShape) bool { return strings.EqualFold(h.Name, c.Header) })
		if i < 0 {
			return fail(exitUsage, "there are "+headerNames(s.Headers), "the dialect %s sends no header %q", s.Dialect, c.Header)
		}
		if p.JSON {
			return p.object(s.Headers[i])
		}
		return p.printf("%s\n", s.Headers[i].Value)
	case p.JSON:
		return p.object(s)
	case c.Curl != "":
		line, err := curlOf(c.Curl, s, body, http1)
		if err != nil {
			return err
		}
		return p.printf("%s\n", line)
	}
	for _, h := range s.Headers {
		if err := p.printf("%s: %s\n", h.Name, h.Value); err != nil {
			return err
		}
	}
	if c.Event {
		return p.printf("\n%s", body)
	}
	return nil
}

func headerNames(all []headerShape) string {
	names := make([]string, len(all))
	for i, h := range all {
		names[i] = h.Name
	}
	return strings.Join(names, ", ")
}

// maxCurlBody is the longest body that fits on a command line everywhere.
const maxCurlBody = 96 << 10

// curlOf is the request as a curl command for a shell.
func curlOf(to string, s *signedShape, body []byte, http1 bool) (string, error) {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fail(exitUsage, "write one such as http://127.0.0.1:9000/hook", "--curl: %q is no http or https URL", to)
	}
	if !utf8.Valid(body) || strings.ContainsRune(string(body), 0) || len(body) > maxCurlBody {
		return "", fail(exitInvalid, "print the headers instead, and send the body from its file with curl --data-binary @FILE", "the body is too long or not a text, so no command line can hold it")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "curl -sS -X %s %s", s.Method, shellQuote(to))
	if http1 { // which keeps the case of names
		b.WriteString(" --http1.1")
	}
	for _, h := range s.Headers {
		fmt.Fprintf(&b, " \\\n  -H %s", shellQuote(h.Name+": "+h.Value))
	}
	fmt.Fprintf(&b, " \\\n  --data-raw %s", shellQuote(string(body)))
	return b.String(), nil
}

// shellQuote quotes a text for a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
