package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/store/storetest"
)

// filesWith are the relations of a database whose files, as they are on the disk, hold a
// text.
func filesWith(t *testing.T, url, text string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `CHECKPOINT`); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `SELECT c.oid::regclass::text FROM pg_class AS c
		WHERE c.relkind IN ('r', 't', 'i') AND pg_relation_filepath(c.oid) LIKE 'base/%' AND NOT c.relisshared
		AND position($1::bytea IN coalesce(pg_read_binary_file(pg_relation_filepath(c.oid), 0, 1 << 29, true), '')) > 0`, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The bytes of what was purged are in no file of a table or an index.
func TestPurgedBytesAreInNoFile(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	st, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	planted := storetest.Plant(t, storetest.Harness{Store: st})
	if found := filesWith(t, url, storetest.Marker); len(found) < 4 {
		t.Fatalf("the marker is only in %v to begin with", found)
	}
	planted.Purge(t, st)
	if found := filesWith(t, url, storetest.Marker); len(found) > 0 {
		t.Errorf("%v still hold what was purged", found)
	}
}
