package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"grapnel/client"
	"grapnel/internal/hook"
)

// remote is what every command that talks to a server takes.
type remote struct {
	URL     string `env:"GRAPNEL_URL" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The server (default ${default})."`
	KeyFile string `env:"GRAPNEL_KEY_FILE" placeholder:"FILE" help:"File that holds the API key, or - for standard input; without it GRAPNEL_KEY is used."`
}

// open makes the client. The key never comes from the command line, where
// other users of the machine could read it.
func (r *remote) open(p *program) (*client.Client, error) {
	key := p.getenv("GRAPNEL_KEY")
	if r.KeyFile != "" {
		secret, err := readSecret(r.KeyFile, p.stdin)
		if err != nil {
			return nil, err
		}
		key = string(secret)
	}
	if key == "" {
		return nil, fail(exitAuth, "set GRAPNEL_KEY, or name a file with --key-file", "no API key is given")
	}
	c, err := client.New(client.Config{URL: r.URL, Key: key})
	if err != nil {
		return nil, fail(exitUsage, "set --url or GRAPNEL_URL to the server, such as http://127.0.0.1:8080", "%w", err)
	}
	return c, nil
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
