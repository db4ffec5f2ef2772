package offline

import (
	"context"
	"path/filepath"

	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/sqlite"
)

// Finding is one thing that is wrong.
type Finding struct {
	File    string `json:"file"`
	Problem string `json:"problem"`
	Advice  string `json:"advice"`
}

// File is a database of a folder.
type File struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Schema  int64  `json:"schema"`  // version it has
	Current int64  `json:"current"` // version that this program brings it to
	Bytes   int64  `json:"bytes"`
	Events  int64  `json:"events,omitempty"`
}

// Pending lists the migrations that a file still needs, as SQL.
func (f File) Pending() ([]string, error) {
	if f.Kind == databaseKind {
		return (&postgres.Schema{Version: int(f.Schema)}).Pending()
	}
	return sqlite.FileInfo(f).Pending()
}

func newFiles(in []sqlite.FileInfo) []File {
	out := make([]File, len(in))
	for i, f := range in {
		out[i] = File(f)
	}
	return out
}

// Schemas lists the databases of a folder that nobody has open, with the schema
// version that each has. It changes nothing. store.ErrLocked: a server has it.
func Schemas(dir string) ([]File, error) {
	files, err := sqlite.Schemas(dir)
	return newFiles(files), err
}

// Report is what Check found.
type Report struct {
	Findings []Finding
	Files    []File
	Bytes    int64

	dir           string
	configuration *store.Configuration // nil: it cannot be read
}

// Check goes through a folder that nobody has open, and says what is wrong. It
// changes nothing. tell, if not nil, is told which file comes next. An error
// means that it could not look; store.ErrLocked: a server has the folder.
func Check(ctx context.Context, dir string, tell func(file string)) (*Report, error) {
	r, err := sqlite.Check(ctx, dir, tell)
	if err != nil {
		return nil, err
	}
	out := &Report{Files: newFiles(r.Files), Bytes: r.Bytes, dir: dir, configuration: r.Configuration}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, Finding(f))
	}
	return out, nil
}

// Secrets is what is known of the secrets in a folder.
type Secrets string

// What TrySecrets finds.
const (
	Readable   Secrets = "readable"
	Unreadable Secrets = "unreadable"
	NotChecked Secrets = "not checked" // there is no key, or no configuration
)

// maxSecrets is how many secrets that cannot be read are told of one by one.
const maxSecrets = 10

// TrySecrets tries whether the secrets can be opened, with the keys given or
// else with the folder's own. What is wrong with them is added to the findings.
func (r *Report) TrySecrets(given string) Secrets {
	file := filepath.Join(r.dir, KeyName)
	if r.configuration == nil || given == "" && (r.dir == "" || !there(file)) {
		return NotChecked
	}
	const advice = "put the key file back that was there when they were sealed, or give the key in GRAPNEL_SECRET_KEY"
	ring, err := keyring.Open(keyring.Source{File: file, Env: given, MustExist: true})
	if err != nil {
		r.Findings = append(r.Findings, Finding{File: KeyName, Problem: err.Error(), Advice: advice})
		return Unreadable
	}
	bad := manage.UnreadableSecrets(ring, r.configuration.Tenants, r.configuration.Endpoints)
	for _, err := range bad[:min(len(bad), maxSecrets)] {
		r.Findings = append(r.Findings, Finding{File: sqlite.ConfigurationName, Problem: err.Error(), Advice: advice})
	}
	if len(bad) > 0 {
		return Unreadable
	}
	return Readable
}
