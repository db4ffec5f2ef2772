package offline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/sqlite"
)

// MovePlan says what Move copies and where to.
type MovePlan struct {
	Dir      string // a data folder that nobody has open
	Database string // URL of a PostgreSQL database with nothing in it
	Shown    string // the same, without a password
	KeyFile  string // the file with the key of the secrets; "": the folder's own
	Key      string // the keys themselves; "": KeyFile
	Verify   bool   // compare what was copied with the folder
	// Progress, if not nil, is told how many of so many events were copied, and then
	// how many were compared.
	Progress func(compares bool, done, total int64)
}

// Moved says what was moved.
type Moved struct {
	Tenants    int64   `json:"tenants"`
	Endpoints  int64   `json:"endpoints"`
	Events     int64   `json:"events"`
	Deliveries int64   `json:"deliveries"`
	Attempts   int64   `json:"attempts"`
	Resumed    int64   `json:"resumed"` // events that an earlier run had copied
	Verified   bool    `json:"verified"`
	Seconds    float64 `json:"seconds"`
}

// ErrSecrets says that secrets cannot be opened with the key.
var ErrSecrets = errors.New("the secrets in the folder cannot be opened with this key")

// ErrNotEmpty says that there is a store in a database already.
var ErrNotEmpty = postgres.ErrNotEmpty

// Move copies all that is in a data folder into a database, and leaves a mark in the
// folder, by which servers refuse to go on with it: two would send everything twice. Of
// the folder nothing else is changed. What was cut short is gone on with by the next
// call. store.ErrLocked: a server has the folder or the database.
func Move(ctx context.Context, plan MovePlan) (*Moved, error) {
	began := time.Now()
	from, err := sqlite.OpenSource(ctx, plan.Dir)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	if err := plan.trySecrets(ctx, from); err != nil {
		return nil, err
	}
	total := from.About().Events
	how := postgres.ImportOptions{
		Verify: plan.Verify,
		Ready:  func() error { return sqlite.MarkMoved(plan.Dir, plan.Shown, time.Now()) },
		Progress: func(step postgres.ImportStep, events int64) {
			if plan.Progress != nil {
				plan.Progress(step == postgres.ImportCompares, events, total)
			}
		},
	}
	done, err := postgres.Import(ctx, postgres.Options{URL: plan.Database, Conns: 2}, from, how)
	if err != nil {
		return nil, err
	}
	return &Moved{
		Tenants: done.Tenants, Endpoints: done.Endpoints, Events: done.Events, Deliveries: done.Deliveries, Attempts: done.Attempts,
		Resumed: done.Resumed, Verified: done.Verified, Seconds: time.Since(began).Seconds(),
	}, nil
}

// trySecrets tries whether the key opens what is sealed, before anything is copied:
// servers on the database will need it. Without secrets there need not be a key.
func (p *MovePlan) trySecrets(ctx context.Context, from *sqlite.Source) error {
	file := p.KeyFile
	if file == "" {
		file = filepath.Join(p.Dir, KeyName)
	}
	ring, missing := keyring.Open(keyring.Source{File: file, Env: p.Key, MustExist: true})
	if missing != nil {
		ring = &keyring.Ring{} // opens nothing
	}
	for _, table := range []store.SourceTable{store.SourceTenants, store.SourceEndpoints} {
		for row, err := range from.Rows(ctx, table, 0, math.MaxInt64) {
			if err != nil {
				return err
			}
			doc, _ := row[len(row)-1].(string)
			tenants, endpoints, err := secretsOf(table, doc)
			if err != nil {
				return err
			}
			if bad := manage.UnreadableSecrets(ring, tenants, endpoints); len(bad) > 0 {
				return fmt.Errorf("%w: %w", ErrSecrets, cmp.Or(missing, bad[0]))
			}
		}
	}
	return nil
}

// secretsOf reads a record that may hold secrets.
func secretsOf(table store.SourceTable, doc string) (tenants []*hook.Tenant, endpoints []*hook.Endpoint, err error) {
	if table == store.SourceTenants {
		tenants = []*hook.Tenant{{}}
		return tenants, nil, json.Unmarshal([]byte(doc), tenants[0])
	}
	endpoints = []*hook.Endpoint{{}}
	if !codec.ReadEndpoint(doc, endpoints[0]) { // the fast way does not know everything
		*endpoints[0] = hook.Endpoint{}
		err = json.Unmarshal([]byte(doc), endpoints[0])
	}
	return nil, endpoints, err
}
