package pgserver_test

import (
	"errors"
	"testing"

	"grapnel/internal/store/postgres/pgserver"
	"grapnel/internal/testaid"
)

// case 23: what was committed is on the standby when the server is gone, and one
// address leads to whichever takes writes; then the two change places.
func TestStandby(t *testing.T) {
	t.Parallel()
	a, err := pgserver.Start(pgserver.Options{Durable: true})
	if errors.Is(err, pgserver.ErrMissing) {
		testaid.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.End)
	b, err := a.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.End)
	either := pgserver.Either(a, b, "postgres")
	server, err := pgserver.At(either)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(t.Context(), "postgres", `CREATE TABLE kept (n integer PRIMARY KEY)`, `INSERT INTO kept VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Stop("immediate"), b.Promote()); err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(t.Context(), "postgres", `INSERT INTO kept SELECT n + 1 FROM kept WHERE n = 1`); err != nil {
		t.Fatal(err)
	}
	if err := a.Follow(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Stop("immediate"), a.Promote()); err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(t.Context(), "postgres", `INSERT INTO kept VALUES ((SELECT 3 FROM kept WHERE n = 2))`); err != nil {
		t.Fatal(err)
	}
}
