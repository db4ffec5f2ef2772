package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"grapnel/internal/disk"
)

// identity is what a position belongs to.
type identity struct {
	Server   string `json:"server"`
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint,omitempty"`
	Target   string `json:"target"`
}

// position keeps in a file how far grapnel listen is, for the next run. While it
// is open no other process can have it.
type position struct {
	identity
	file   string
	cursor string // "": nothing is known yet
	lock   *os.File
}

// positionFile is what stands in the file.
type positionFile struct {
	Version int `json:"version"`
	identity
	Cursor string `json:"cursor"`
}

const positionVersion = 1

// errLocked: another process has the lock.
var errLocked = errors.New("it is in use")

// openPosition opens a position; file "" stands for the one of the identity in
// the user's folder for state.
func openPosition(file string, id identity, getenv func(string) string) (p *position, err error) {
	if file == "" {
		if file, err = defaultPosition(id, getenv); err != nil {
			return nil, err
		}
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, positionError(err)
	}
	p = &position{identity: id, file: file}
	if p.lock, err = os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, positionError(err)
	}
	if err = lockPosition(p.lock); err == nil {
		err = p.load()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func lockPosition(f *os.File) error {
	switch err := tryLock(f); {
	case errors.Is(err, errLocked):
		return fail(exitConflict, "end it, or name another file with --state", "another grapnel listen does the same: it has %s", f.Name())
	case err != nil:
		return positionError(err)
	}
	return nil
}

func positionError(err error) error {
	return fail(exitFailure, "name a file in a folder that this user can write to with --state", "the position cannot be kept: %w", err)
}

// defaultPosition names the file of an identity, by the XDG base directory
// specification.
func defaultPosition(id identity, getenv func(string) string) (string, error) {
	dir := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", positionError(err)
		}
		dir = filepath.Join(home, ".local", "state")
	}
	b, err := json.Marshal(id)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return filepath.Join(dir, "grapnel", "listen-"+hex.EncodeToString(sum[:8])+".json"), nil
}

func (p *position) load() error {
	b, err := os.ReadFile(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return positionError(err)
	}
	var f positionFile
	switch err := json.Unmarshal(b, &f); {
	case err != nil || f.Cursor == "":
		return fail(exitInvalid, "remove it to begin at now, or name another one with --state", "%s is not a file that grapnel listen wrote", p.file)
	case f.Version != positionVersion:
		return fail(exitInvalid, "name another file with --state", "%s was written by another version", p.file)
	case f.identity != p.identity:
		return fail(exitConflict, "name another file with --state", "%s is the position of tenant %q of %s, forwarded to %s", p.file, plain(f.Tenant), plain(f.Server), plain(f.Target))
	}
	p.cursor = f.Cursor
	return nil
}

// keep writes a position so that it is there after a crash: all of it, or the
// one before.
func (p *position) keep(cursor string) error {
	if cursor == p.cursor {
		return nil
	}
	b, err := json.Marshal(positionFile{positionVersion, p.identity, cursor})
	if err != nil {
		return err
	}
	if err := disk.Replace(p.file, append(b, '\n')); err != nil {
		return positionError(err)
	}
	p.cursor = cursor
	return nil
}

// close lets another process have the position.
func (p *position) close() {
	_ = p.lock.Close() // ends the lock; nothing was written to it
}
