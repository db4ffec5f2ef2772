package serve_test

import (
	"net/http"
	"sync"
	"testing"

	"grapnel/internal/api/apitest"
)

// contract is the OpenAPI document of the API.
var contract = sync.OnceValues(apitest.New)

// held makes a transport that fails the test where an exchange with the API is
// not as the document has it.
func held(t *testing.T, next http.RoundTripper) http.RoundTripper {
	t.Helper()
	c, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	return c.Transport(next, func(err error) { t.Errorf("not as the document has it: %v", err) })
}
