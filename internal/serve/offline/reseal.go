package offline

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/store/directory"
)

// ErrStillOlder: see manage.ErrStillOlder.
var ErrStillOlder = manage.ErrStillOlder

// Keys says where the keys of a store's secrets are.
type Keys struct {
	Given string // keys themselves, before all else: GRAPNEL_SECRET_KEY
	File  string // a key file; "": the one in the folder
}

func (k Keys) open(dir string) (*keyring.Ring, error) {
	file := k.File
	if file == "" && dir != "" {
		file = filepath.Join(dir, KeyName)
	}
	return keyring.Open(keyring.Source{File: file, Env: k.Given, MustExist: true})
}

// Seals says which keys have sealed how many secrets.
type Seals struct {
	DryRun   bool           `json:"dry_run"`
	Key      string         `json:"key"`      // id of the first key
	Known    []string       `json:"known"`    // ids of all that were given
	Resealed int            `json:"resealed"` // secrets that were sealed anew
	By       map[string]int `json:"by"`       // secrets, by the id of the key that has sealed each
}

// Older is how many secrets keys other than the first have sealed.
func (s *Seals) Older() (n int) {
	for id, count := range s.By {
		if id != s.Key {
			n += count
		}
	}
	return n
}

// Reseal seals with the first of the keys all that another one has sealed, and says
// what there is then; with dry it changes nothing. A database may be in use
// meanwhile. One that was cut short goes on when it is called again. If it is
// ErrStillOlder, there is a count as well.
func (f *Folder) Reseal(ctx context.Context, keys Keys, dry bool, progress func(secrets int)) (*Seals, error) {
	ring, err := keys.open(f.dir)
	if err != nil {
		return nil, err
	}
	configuration, err := directory.Load(ctx, f.store)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	r := &manage.Resealing{Store: f.store, Directory: configuration, Ring: ring, Now: time.Now, Progress: progress}
	out := &Seals{DryRun: dry, Key: ring.KeyIDs()[0], Known: ring.KeyIDs()}
	if !dry {
		out.Resealed, err = r.Run(ctx)
	}
	out.By = r.Count()
	return out, err
}

// Seals says which keys have sealed how many secrets of what was checked; nil if
// there is no key, or no configuration that can be read.
func (r *Report) Seals(keys Keys, now time.Time) *Seals {
	ring, err := keys.open(r.dir)
	if r.configuration == nil || err != nil {
		return nil
	}
	return &Seals{DryRun: true, Key: ring.KeyIDs()[0], Known: ring.KeyIDs(), By: manage.SealedBy(r.configuration, now)}
}
