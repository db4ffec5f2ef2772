package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/verify"
)

type verifyCmd struct {
	SecretFile []string  `required:"" placeholder:"FILE" help:"File that holds the endpoint's secret (for standard whsec_…) or public key (whpk_…); with - the first line of standard input is the secret. Several during a rotation, the one in use first."`
	Dialect    string    `default:"standard" placeholder:"NAME" help:"Contract to verify by, or its file (default ${default})."`
	URL        string    `placeholder:"URL" help:"URL as the sender knows it, for contracts that sign it; without it, the request line and Host."`
	At         time.Time `placeholder:"TIME" help:"Check the timestamp against this moment (RFC 3339) instead of now."`
	Explain    bool      `help:"Say what was looked at, and which known mistake makes the signature fail."`
}

// Help gives examples.
func (*verifyCmd) Help() string {
	return `Reads one request as it came over the wire: the request line (which may be left out), the
headers, an empty line, and the body to the last byte, or as long as Content-Length says. Exit
code 0 if the signature holds, 9 if not.

With --explain each part of the signature is looked at by itself, and the mistakes that
receivers are known to make are undone one after the other until it fits: a body that was parsed
and written anew, line breaks and marks that came or went, a secret in the wrong form, an old
secret, a timestamp in milliseconds, headers that are missing, renamed or added, another hash,
another URL.

Examples:

    grapnel verify --secret-file secret.txt < request.txt
    (cat secret.txt; cat request.txt) | grapnel verify --secret-file - --json
    grapnel verify --dialect api2cart --secret-file store_key.txt --explain < order.txt
    grapnel verify --secret-file secret.txt --at 2026-01-02T15:04:05Z --explain < old-request.txt`
}

// verdictOf is what --json prints.
type verdictOf struct {
	Valid  bool   `json:"valid"`
	ID     string `json:"id,omitempty"` // webhook-id
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// maxRequest bounds what is read as a request.
const maxRequest = 64 << 20

// Run verifies.
func (c *verifyCmd) Run(p *program) error {
	d, err := dialectNamed(c.Dialect)
	if err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(p.stdin, maxRequest))
	secrets, err := readSecrets(c.SecretFile, in)
	if err != nil {
		return err
	}
	var keys []dialect.VerifyKey
	for i := range secrets {
		k, err := d.VerifyKey(secrets[i])
		if err != nil && !c.Explain {
			return badSecret(err)
		}
		keys = append(keys, k)
	}
	r, err := readRequest(in)
	if err == nil && r.missing > 0 && !c.Explain {
		err = fmt.Errorf("Content-Length is %s, and %d bytes are there", r.header.Get("Content-Length"), len(r.body))
	}
	if err != nil {
		return fail(exitInvalid, "grapnel verify --help shows the form", "standard input is not a request: %w", err)
	}
	if c.URL != "" {
		r.url = c.URL
	}
	at := c.At
	if at.IsZero() {
		at = time.Now()
	}
	if c.Explain {
		return c.explain(p, d, secrets, r, at)
	}
	return c.verdict(p, r, d.Verify(dialect.Received{
		Method: r.method, URL: r.url, Header: r.asCame, Body: r.body, At: at, Tolerance: verify.Tolerance, Keys: keys,
	}))
}

// badSecret says what is wrong with a secret, and shows nothing of it.
func badSecret(err error) error {
	var e *hook.Error
	if errors.As(err, &e) {
		err = errors.New(e.Message)
	}
	return fail(exitUsage, "use the secret as Grapnel showed it, whsec_… or whpk_…, alone in its file", "%w", err)
}

func (c *verifyCmd) verdict(p *program, r *wireRequest, refused error) error {
	out := verdictOf{Valid: refused == nil, ID: r.header.Get("webhook-id")}
	var why *dialect.Refusal
	if refused != nil {
		refused = fmt.Errorf("webhook not verified: %w", refused)
		out.Detail = refused.Error()
	}
	if errors.As(refused, &why) {
		out.Reason = string(why.Flaw)
	}
	var err error
	switch {
	case p.JSON:
		err = p.object(out)
	case out.Valid && out.ID == "":
		err = p.printf("valid: %d bytes\n", len(r.body))
	case out.Valid:
		err = p.printf("valid: %s, %d bytes\n", plain(out.ID), len(r.body))
	}
	if err != nil {
		return err
	}
	if refused != nil {
		return fail(exitSignature, "grapnel verify --explain looks for the cause", "%w", refused)
	}
	return nil
}
