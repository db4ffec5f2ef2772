package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"grapnel/client"
	"grapnel/internal/hook"
)

// Where a command goes that is not told otherwise: the server and the tenant
// of grapnel dev.
const (
	defaultURL    = "http://127.0.0.1:8080"
	defaultTenant = "demo"
)

// remote is what every command that talks to a server takes.
type remote struct {
	URL     string `env:"GRAPNEL_URL" placeholder:"URL" help:"The server (default http://127.0.0.1:8080)."`
	KeyFile string `env:"GRAPNEL_KEY_FILE" placeholder:"FILE" help:"File that holds the API key, or - for standard input; without it GRAPNEL_KEY is used."`
}

// scoped is what every command takes that is about one tenant's things.
type scoped struct {
	remote
	Tenant string `env:"GRAPNEL_TENANT" placeholder:"ID" help:"The tenant (default demo, the one that grapnel dev makes)."`
}

// open makes the client, and says which tenant is meant.
func (s *scoped) open(p *program) (api *client.Client, tenant string, err error) {
	if api, err = s.remote.open(p); err != nil {
		return nil, "", err
	}
	c, chosen, err := p.context()
	if err != nil {
		return nil, "", err
	}
	return api, p.prefer("tenant", s.Tenant, c.Tenant, chosen, defaultTenant), nil
}

// prefer says which value of a flag counts: the one given on the command line,
// the one of a context that --context names, the environment's, the current
// context's, the default.
func (p *program) prefer(flag, given, ofContext string, chosen bool, otherwise string) string {
	if given != "" && p.sources(flag) == "flag" {
		return given
	}
	order := []string{given, ofContext}
	if chosen {
		order = []string{ofContext, given}
	}
	return cmp.Or(append(order, otherwise)...)
}

// open makes the client. The key never comes from the command line, where
// other users of the machine could read it.
func (r *remote) open(p *program) (*client.Client, error) {
	c, chosen, err := p.context()
	if err != nil {
		return nil, err
	}
	url := p.prefer("url", r.URL, c.URL, chosen, defaultURL)
	key, err := r.key(p, c, chosen, url)
	if err != nil {
		return nil, err
	}
	if key == "" {
		return nil, fail(exitAuth, "set GRAPNEL_KEY, or name a file with --key-file", "no API key is given")
	}
	api, err := client.New(client.Config{URL: url, Key: key, HTTP: p.http()})
	if err != nil {
		return nil, fail(exitUsage, "set --url or GRAPNEL_URL to the server, such as http://127.0.0.1:8080", "%w", err)
	}
	return api, nil
}

// key finds the key for a server. A context's key is for that context's server
// alone: it must not go to another one that --url names.
func (r *remote) key(p *program, c *setting, chosen bool, url string) (string, error) {
	ofContext := url == c.URL && (c.Key != "" || c.KeyFile != "")
	file, env := r.KeyFile, p.getenv("GRAPNEL_KEY")
	switch {
	case file != "" && p.sources("key-file") == "flag":
	case ofContext && (chosen || file == "" && env == ""):
		if c.Key != "" {
			return c.Key, nil
		}
		file = c.KeyFile
	}
	if file == "" {
		return env, nil
	}
	secret, err := readSecret(file, p.stdin)
	return string(secret), err
}

// callTimeout is how long one call of a server may take.
const callTimeout = 30 * time.Second

// http makes what calls go over. With --verbose each is told.
func (p *program) http() *http.Client {
	c := &http.Client{Timeout: callTimeout}
	if p.Verbose && !p.Quiet {
		c.Transport = &teller{p: p, next: http.DefaultTransport}
	}
	return c
}

// teller tells each call on standard error.
type teller struct {
	p    *program
	next http.RoundTripper
}

// RoundTrip makes the call. Neither the key nor a body is told.
func (t *teller) RoundTrip(r *http.Request) (*http.Response, error) {
	begun := time.Now()
	res, err := t.next.RoundTrip(r)
	if err != nil {
		t.p.note("%s %s: %v after %s", r.Method, r.URL, err, span(time.Since(begun)))
		return nil, err
	}
	t.p.note("%s %s: %s in %s", r.Method, r.URL, res.Status, span(time.Since(begun)))
	return res, nil
}

// maxSecretFile bounds a file that should hold one secret or key.
const maxSecretFile = 64 << 10

// readSecret reads a secret from a file, or from standard input for "-". One
// line break at its end is not part of it.
func readSecret(file string, stdin io.Reader) (hook.Secret, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fail(exitUsage, "name a file that this user can read, or - for standard input", "the secret cannot be read: %w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSecretFile))
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return "", fail(exitUsage, "put the secret alone into it", "the secret file is empty")
	}
	return hook.Secret(text), nil
}
