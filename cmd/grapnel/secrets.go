package main

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
)

// dialectNamed finds a contract: one that is built in, or in a file.
func dialectNamed(name string) (*dialect.Dialect, error) { return dialectAs("--dialect", name) }

// dialectAs finds a contract that a flag or argument names.
func dialectAs(flag, name string) (*dialect.Dialect, error) {
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" || strings.ContainsAny(name, `/\`) {
		return dialectFile(name)
	}
	registry, err := serve.Dialects()
	if err != nil {
		return nil, err
	}
	d, ok := registry.Get(name)
	if !ok {
		return nil, oneOf(flag, name, registry.Names()...)
	}
	return d, nil
}

// dialectFile reads a contract from its file. Its error says in which line it is
// wrong.
func dialectFile(file string) (*dialect.Dialect, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fail(exitUsage, "name a file that this user can read, or one of what grapnel dialect list shows", "the dialect cannot be read: %w", err)
	}
	d, err := dialect.Load(file, text)
	if err != nil {
		return nil, fail(exitInvalid, "docs/dialect-format.md lists what a dialect file can say; grapnel dialect show NAME prints one to begin from", "%w", err)
	}
	return d, nil
}

// readSecrets reads a secret from each file; "-" is the first line of standard
// input, what follows it is left there.
func readSecrets(files []string, in *bufio.Reader) ([]hook.Secret, error) {
	var out []hook.Secret
	seen := false
	for _, file := range files {
		if file != "-" {
			s, err := readSecret(file, in)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
			continue
		}
		if seen {
			return nil, fail(exitUsage, "name files for the others", "standard input can hold one secret")
		}
		seen = true
		line, err := in.ReadString('\n')
		if err != nil && line == "" {
			return nil, fail(exitUsage, "put the secret on the first line, and the rest after it", "standard input holds no secret")
		}
		out = append(out, hook.Secret(strings.TrimRight(line, "\r\n")))
	}
	return out, nil
}

// randomTail are the random bits of a new event id.
func randomTail() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return binary.BigEndian.Uint64(b[:])
}

// secretName is what a secret from a file is called in reports.
func secretName(file string, number int) string {
	if file == "-" {
		return fmt.Sprintf("secret %d (standard input)", number)
	}
	return file
}
