package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"grapnel/internal/config"
)

type healthCmd struct {
	URL     string        `arg:"" optional:"" help:"The server (default: GRAPNEL_URL, else the address in GRAPNEL_ADMIN_LISTEN or GRAPNEL_LISTEN, else http://127.0.0.1:8080)."`
	Ready   bool          `help:"Ask whether the server can take events, not only whether it lives."`
	Timeout time.Duration `default:"2s" placeholder:"TIME" help:"How long to wait for the answer (default ${default})."`
}

// Help gives examples.
func (*healthCmd) Help() string {
	return `For HEALTHCHECK in a container, and scripts. No key is needed. Exit code 0 if the server is
well, 1 if it answers that it is not, 7 if it cannot be reached. Inside the server's own
container it finds the address by itself; the certificate is not checked then, for it is made
out to another name.

Examples:

    grapnel health
    grapnel health --ready "$GRAPNEL_URL"
    grapnel health --ready --json`
}

// healthShape is what --json prints.
type healthShape struct {
	URL     string `json:"url"`
	Healthy bool   `json:"healthy"`
	Status  int    `json:"status,omitempty"` // 0 without an answer
	Detail  string `json:"detail"`
}

// maxHealth bounds what is read of the answer.
const maxHealth = 4 << 10

// Run asks.
func (c *healthCmd) Run(p *program) error {
	base, own := c.server(p)
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fail(exitUsage, "write one such as http://127.0.0.1:8080", "%q is no http or https URL", base)
	}
	if c.Timeout <= 0 {
		return fail(exitUsage, "write a time such as 2s", "--timeout must be more than 0")
	}
	out := healthShape{URL: strings.TrimRight(base, "/") + "/livez"}
	if c.Ready {
		out.URL = strings.TrimRight(base, "/") + "/readyz?verbose"
	}
	unreachable := c.ask(&out, own)
	switch {
	case p.JSON:
		err = p.object(out)
	case unreachable == nil:
		err = p.printf("%s\n", plain(out.Detail))
	}
	switch {
	case err != nil:
		return err
	case unreachable != nil:
		return fail(exitUnavailable, "is the server running, and is the URL right?", "%w", unreachable)
	case !out.Healthy:
		return fail(exitFailure, "the server's log says more", "%s answered %d", out.URL, out.Status)
	}
	return nil
}

// server is where to ask; own reports whether it is this machine's, by the
// server's own settings.
func (c *healthCmd) server(p *program) (base string, own bool) {
	if c.URL != "" {
		return c.URL, false
	}
	if u := p.getenv("GRAPNEL_URL"); u != "" {
		return u, false
	}
	if l := p.getenv(config.EnvName("admin-listen")); l != "" {
		return "http://" + reachable(l), true
	}
	if l := p.getenv(config.EnvName("listen")); l != "" && p.getenv(config.EnvName("tls-cert")) != "" {
		return "https://" + reachable(l), true
	} else if l != "" {
		return "http://" + reachable(l), true
	}
	return defaultURL, true
}

// reachable is the address under which a process of the same machine reaches
// one that listens there.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

func (c *healthCmd) ask(out *healthShape, own bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, out.URL, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if own {
		transport = insecureTransport()
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		out.Detail = "no answer: " + cause(err, c.Timeout)
		return errors.New(out.Detail)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxHealth))
	if err != nil {
		out.Detail = "the answer broke off: " + cause(err, c.Timeout)
		return errors.New(out.Detail)
	}
	out.Status, out.Healthy = res.StatusCode, res.StatusCode == http.StatusOK
	out.Detail = strings.Join(strings.FieldsFunc(strings.TrimSpace(string(body)), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	return nil
}

// cause says in few words why a request failed.
func cause(err error, timeout time.Duration) string {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return fmt.Sprintf("nothing within %s", timeout)
		}
		err = u.Err
	}
	return err.Error()
}

// insecureTransport does not look at the certificate: this machine's server has
// one for the name that others use.
func insecureTransport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
}
