package api_test

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"grapnel/internal/api"
	"grapnel/internal/api/apitest"
	"grapnel/internal/store/eithertest"
)

// contract is the document that every exchange of these tests is held against.
var contract = sync.OnceValues(apitest.New)

// held makes a handler whose exchanges fail the test where they are not as the
// document has them.
func held(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	c, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	return c.Handler(next, func(err error) { t.Errorf("not as the document has it: %v", err) })
}

// After all tests every route must have been seen to succeed, in each way that
// the document names.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && wholeSuite() {
		if err := complete(); err != nil {
			fmt.Fprintln(os.Stderr, "FAIL:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// wholeSuite reports whether all tests ran: on PostgreSQL those of streams do not.
func wholeSuite() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return !testing.Short() && !eithertest.Postgres()
}

func complete() error {
	c, err := contract()
	if err != nil {
		return err
	}
	if missing := c.Missing(); len(missing) > 0 {
		return errors.New("the document promises what no test has shown:\n" + strings.Join(missing, "\n"))
	}
	return nil
}

// Every route is in the document, and nothing else is.
func TestDocumentHasAllRoutes(t *testing.T) {
	t.Parallel()
	c, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]bool{}
	for _, pattern := range c.Patterns() {
		in[pattern] = true
	}
	for _, pattern := range api.Routes() {
		if !in[pattern] {
			t.Errorf("%s is not in the document", pattern)
		}
		delete(in, pattern)
	}
	for pattern := range in {
		t.Errorf("%s is in the document and is no route", pattern)
	}
}

// The contract test itself fails where a shape drifts.
func TestContractFindsDrift(t *testing.T) {
	t.Parallel()
	text, err := api.OpenAPI("test")
	must(t, err)
	b := setup(t)
	b.endpoint("acme", `{"url":"https://example.com/"}`)
	for what, change := range map[string][2]string{
		"a member that the document does not name": {`"max_in_flight": {`, `"max_flying": {`},
		"a member of another type":                 {`"type": "integer"`, `"type": "string"`},
		"a header that is not in the document":     {`"ETag": {`, `"X-Tag": {`},
		"a status that is not in the document":     {`"200": {`, `"203": {`},
		"a parameter that is not in the document":  {`"$ref": "#/components/parameters/limit"`, `"$ref": "#/components/parameters/cursor"`},
	} {
		if !strings.Contains(string(text), change[0]) {
			t.Errorf("%s: the document has no %s to change", what, change[0])
			continue
		}
		c, err := apitest.Parse([]byte(strings.ReplaceAll(string(text), change[0], change[1])))
		must(t, err)
		var found error
		drifted := *b
		drifted.held = c.Handler(b.api, func(err error) { found = errors.Join(found, err) })
		drifted.want(http.StatusOK, "GET", "/v1/tenants/acme/endpoints?limit=2", "")
		if found == nil {
			t.Errorf("%s is not found", what)
		}
	}
}
