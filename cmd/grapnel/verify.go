package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"grapnel/verify"
)

type verifyCmd struct {
	SecretFile []string  `required:"" placeholder:"FILE" help:"File that holds the endpoint's secret (whsec_…) or public key (whpk_…); with - the first line of standard input is the secret. Several during a rotation."`
	At         time.Time `placeholder:"TIME" help:"Check the timestamp against this moment (RFC 3339) instead of now."`
}

// Help gives examples.
func (*verifyCmd) Help() string {
	return `Reads one request as it came over the wire: the request line (which may be left out), the
headers, an empty line, and the body to the last byte, or as long as Content-Length says. Exit
code 0 if the signature holds, 9 if not.

Examples:

    grapnel verify --secret-file secret.txt < request.txt
    (cat secret.txt; cat request.txt) | grapnel verify --secret-file - --json
    grapnel verify --secret-file secret.txt --at 2026-01-02T15:04:05Z < old-request.txt`
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
	in := bufio.NewReader(io.LimitReader(p.stdin, maxRequest))
	verifier, err := c.verifier(in)
	if err != nil {
		return err
	}
	header, body, err := readRequest(in)
	if err != nil {
		return fail(exitInvalid, "grapnel verify --help shows the form", "standard input is not a request: %w", err)
	}
	at := c.At
	if at.IsZero() {
		at = time.Now()
	}
	out := verdictOf{Valid: true, ID: header.Get("webhook-id")}
	refused := verifier.Verify(header, body, at)
	if refused != nil {
		out.Valid, out.Detail = false, refused.Error()
		var reason verify.Reason
		if errors.As(refused, &reason) {
			out.Reason = string(reason)
		}
	}
	switch {
	case p.JSON:
		err = p.object(out)
	case out.Valid:
		err = p.printf("valid: %s, %d bytes\n", plain(out.ID), len(body))
	}
	if err != nil {
		return err
	}
	if refused != nil {
		return fail(exitSignature, "", "%w", refused)
	}
	return nil
}

func (c *verifyCmd) verifier(in *bufio.Reader) (*verify.Verifier, error) {
	var secrets []string
	for _, file := range c.SecretFile {
		if file == "-" {
			line, err := in.ReadString('\n')
			if err != nil && line == "" {
				return nil, fail(exitUsage, "put the secret on the first line, and the request after it", "standard input holds no secret")
			}
			secrets = append(secrets, strings.TrimRight(line, "\r\n"))
			continue
		}
		s, err := readSecret(file, in)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, string(s))
	}
	v, err := verify.New(secrets...)
	if err != nil {
		return nil, fail(exitUsage, "use the secret as Grapnel showed it, whsec_… or whpk_…, alone in its file", "%w", err)
	}
	return v, nil
}

// readRequest takes a request apart. The body's bytes are kept as they are.
func readRequest(in *bufio.Reader) (http.Header, []byte, error) {
	first, err := in.Peek(1)
	if err != nil || len(first) == 0 {
		return nil, nil, errors.New("it is empty")
	}
	if err := skipRequestLine(in); err != nil {
		return nil, nil, err
	}
	h, err := textproto.NewReader(in).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	header := http.Header(h)
	if strings.EqualFold(header.Get("Transfer-Encoding"), "chunked") {
		body, err := io.ReadAll(httputil.NewChunkedReader(in))
		return header, body, err
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return nil, nil, err
	}
	if text := header.Get("Content-Length"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || n > uint64(len(body)) {
			return nil, nil, fmt.Errorf("Content-Length is %s, and %d bytes are there", text, len(body))
		}
		body = body[:n]
	}
	return header, body, nil
}

// skipRequestLine reads over "POST /path HTTP/1.1", if the first line is one.
func skipRequestLine(in *bufio.Reader) error {
	head, err := in.Peek(in.Size())
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return err
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	name, _, ok := bytes.Cut(line, []byte(":"))
	if ok && !bytes.ContainsAny(name, " \t") {
		return nil // a header
	}
	_, err = in.ReadSlice('\n')
	return err
}
