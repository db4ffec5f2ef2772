package postgres_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// run runs statements in a database.
func run(t testing.TB, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// case 14: a schema of a later program is left alone.
func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	run(t, url, `UPDATE grapnel.meta SET schema_version = 1000, works_with = 999`)
	_, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "1000") {
		t.Fatalf("got %v, want ErrNewer", err)
	}
}

// Nodes that start together on an empty database make its schema once.
func TestManyMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			st, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 2})
			if err != nil {
				t.Error(err)
				return
			}
			st.Close()
		})
	}
	all.Wait()
}

// A server whose settings break a promise is refused, in words that say what to do.
func TestServerIsChecked(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"default_transaction_isolation=serializable": "read committed",
		"synchronous_commit=local":                   "",
	} {
		u, err := url.Parse(pgtest.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("options", "-c "+setting)
		u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
		st, err := postgres.Open(t.Context(), postgres.Options{URL: u.String()})
		if err == nil {
			st.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v", setting, err)
		}
	}
}

// A server that is not there is told as such, and names no password.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Options{URL: "postgres://somebody:secret@127.0.0.1:1/none?sslmode=disable"})
	if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
}
