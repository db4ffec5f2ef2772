package main

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
)

// dialectNamed finds a contract.
func dialectNamed(name string) (*dialect.Dialect, error) {
	registry, err := serve.Dialects()
	if err != nil {
		return nil, err
	}
	d, ok := registry.Get(name)
	if !ok {
		return nil, oneOf("--dialect", name, registry.Names()...)
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
