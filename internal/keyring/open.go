package keyring

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"grapnel/internal/disk"
)

// FileName is the name of the key file in a data folder and in a backup of one.
const FileName = "secret.key"

// maxFile bounds what is read of a key file.
const maxFile = 64 << 10

// envOrigin is the Origin of a ring from the environment.
const envOrigin = "the environment"

// Errors that callers branch on.
var (
	// ErrNoKey: there is no key, and none may be made.
	ErrNoKey = errors.New("no key")
	// ErrOtherKey: a key is missing that something is sealed with.
	ErrOtherKey = errors.New("wrong key")
)

// Source says where keys come from. Env goes first.
type Source struct {
	// File is the path of a key file: text, one key a line as base64 of 32
	// bytes, # for comments. It is made at the first start, with mode 0600, in a
	// folder that exists.
	File string
	// Env is the same text out of the environment; keys may be separated by
	// white space or commas. When it is given, File is not looked at.
	Env string
	// MustExist forbids making File: something is sealed already, and a new key
	// could not open it.
	MustExist bool
}

// Open reads the ring, and makes the key file if it is the first start.
func Open(s Source) (*Ring, error) {
	if strings.TrimSpace(s.Env) != "" {
		return parse(envOrigin, strings.ReplaceAll(s.Env, ",", "\n"))
	}
	if s.File == "" {
		return nil, fmt.Errorf("open the keyring: neither a key file nor a key was given: %w", ErrNoKey)
	}
	text, err := readFile(s.File)
	if errors.Is(err, fs.ErrNotExist) {
		if s.MustExist {
			return nil, fmt.Errorf("open the keyring: %s is missing, and without it the secrets in the store cannot be read: put it back, or give the key in the environment if it came from there: %w", s.File, ErrNoKey)
		}
		if err = makeFile(s.File); err == nil {
			text, err = readFile(s.File)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the keyring: %w", err)
	}
	return parse(s.File, text)
}

// NewKey makes a key in the form that a key file has.
func NewKey() string {
	var raw [KeySize]byte
	rand.Read(raw[:])
	return base64.StdEncoding.EncodeToString(raw[:])
}

// parse never quotes what it reads: it may be a key.
func parse(origin, text string) (*Ring, error) {
	r := &Ring{origin: origin}
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Fields(line) {
			raw, err := base64.StdEncoding.DecodeString(word)
			if err != nil || len(raw) != KeySize {
				return nil, fmt.Errorf("open the keyring: %s, line %d: want a key of %d bytes in base64 (44 characters)", origin, n+1, KeySize)
			}
			k, err := newKey(raw)
			if err != nil {
				return nil, fmt.Errorf("open the keyring: %w", err)
			}
			if r.find(k.id) != nil {
				return nil, fmt.Errorf("open the keyring: %s, line %d: key %s is there twice", origin, n+1, k.id)
			}
			r.keys = append(r.keys, k)
		}
	}
	if len(r.keys) == 0 {
		return nil, fmt.Errorf("open the keyring: %s holds no key: %w", origin, ErrNoKey)
	}
	return r, nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("others can read or change the key file %s (mode %#o): run chmod 600 on it, and replace the key if somebody may have seen it", path, mode)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxFile {
		return "", fmt.Errorf("%s is too large to be a key file", path)
	}
	return string(b), nil
}

// makeFile writes a new key file. It is whole and on disk before it has its
// name, and it never replaces one: losing a key loses every secret.
func makeFile(path string) error {
	text := fmt.Sprintf("# Opens the secrets in this store. Keep a copy apart from it: without this file they are lost.\n%s\n", NewKey())
	if err := disk.Create(path, []byte(text)); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil // another start was faster, and its key counts
}
