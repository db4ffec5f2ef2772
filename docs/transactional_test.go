package docs_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// examples are the blocks of a page in a language.
func examples(t *testing.T, file, language string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "\n```"+language+"\n")[1:] {
		code, _, _ := strings.Cut(block, "\n```")
		out = append(out, code+"\n")
	}
	if len(out) == 0 {
		t.Fatalf("%s has no example in %s", file, language)
	}
	return out
}

// The SQL of the page runs, one block after the other, and publishes.
func TestTransactionalSQL(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, pgtest.Options{}).Database(t) // of its own, for roles are a server's
	st, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Configure(t.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "acme"}}}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range examples(t, "transactional.md", "sql") {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%s\n%v", sql, err)
		}
	}
	var id string
	_, err = conn.Exec(t.Context(), `SET ROLE shop`)
	if err == nil {
		err = conn.QueryRow(t.Context(), `SELECT grapnel.publish('acme', 'invoice.paid', '{}')`).Scan(&id)
	}
	if err != nil || id == "" {
		t.Fatalf("the page's role cannot publish: %v", err)
	}
	var waiting int
	_, err = conn.Exec(t.Context(), `RESET ROLE`)
	if err == nil {
		err = conn.QueryRow(t.Context(), `SELECT count(*) FROM grapnel.inbox`).Scan(&waiting)
	}
	if err != nil || waiting != 3 {
		t.Fatalf("%d events wait: %v", waiting, err)
	}
}
