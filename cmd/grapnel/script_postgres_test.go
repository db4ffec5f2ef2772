package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"grapnel/internal/store/postgres/pgtest"
)

// A script of testdata/postgres finds the URLs of two databases with nothing in them in
// STORE and COPY.
func TestScriptsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	pgtest.Shared(t) // skips here where there is none
	p := scripts("testdata/postgres")
	setup := p.Setup
	p.Setup = func(e *testscript.Env) error {
		e.Setenv("STORE", pgtest.Empty(t))
		e.Setenv("COPY", pgtest.Empty(t))
		return setup(e)
	}
	testscript.Run(t, p)
}
