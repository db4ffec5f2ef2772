package offline

import (
	"context"
	"fmt"

	"grapnel/internal/store/postgres"
)

// databaseKind is the Kind of a File that stands for a PostgreSQL database.
const databaseKind = "postgresql"

// OpenDatabase opens the store in a PostgreSQL database, which servers may have open
// as well. Its schema has to be this program's: see DatabaseSchema.
func OpenDatabase(ctx context.Context, url string) (*Folder, error) {
	st, err := postgres.Open(ctx, postgres.Options{URL: url, Conns: 2})
	if err != nil {
		return nil, err
	}
	return &Folder{store: st}, nil
}

// DatabaseSchema says which schema version a database has, 0 if there is nothing of
// Grapnel in it. It changes nothing.
func DatabaseSchema(ctx context.Context, url string) (File, error) {
	s, err := postgres.ReadSchema(ctx, url)
	if err != nil {
		return File{}, err
	}
	return File{Name: s.Name, Kind: databaseKind, Schema: int64(s.Version), Current: int64(s.Current), Bytes: s.Bytes}, nil
}

// MigrateDatabase brings a database to this program's schema.
func MigrateDatabase(ctx context.Context, url string) error { return postgres.Migrate(ctx, url) }

// CheckDatabase goes through a database, as Check does through a folder. Servers may
// have it open. tell is told which table comes next.
func CheckDatabase(ctx context.Context, url string, tell func(table string)) (*Report, error) {
	file, err := DatabaseSchema(ctx, url)
	if err != nil {
		return nil, err
	}
	st, err := postgres.Open(ctx, postgres.Options{URL: url, Conns: 2})
	if err != nil {
		return nil, err
	}
	defer st.Close()
	r, err := st.Check(ctx, tell)
	if err != nil {
		return nil, err
	}
	file.Events = r.Events
	out := &Report{Files: []File{file}, Bytes: file.Bytes, configuration: r.Configuration}
	for _, f := range r.Findings {
		table := f.Table
		if table == "" {
			table = fmt.Sprintf("database %s", file.Name)
		}
		out.Findings = append(out.Findings, Finding{File: table, Problem: f.Problem, Advice: f.Advice})
	}
	return out, nil
}

// PublisherSQL is the SQL that makes a role which may publish in its own transactions and
// do nothing else: see postgres.PublisherSQL.
func PublisherSQL(role string, tenants []string, existing bool) []string {
	return postgres.PublisherSQL(role, tenants, existing)
}
