package main

import (
	"fmt"
	"net/http"
	"os"
	"sync"

	"grapnel/internal/api/apitest"
)

// exitContract is how the program ends in scripts when an exchange with the API
// is not as the OpenAPI document has it. No script wants it.
const exitContract = 97

// heldMain is the program with its requests to the API held against the
// document.
func heldMain() {
	http.DefaultTransport = &heldTransport{next: http.DefaultTransport}
	main()
}

// heldTransport reads the document when it is first needed: most commands ask
// no server.
type heldTransport struct {
	next http.RoundTripper
	once sync.Once
	held http.RoundTripper
}

// RoundTrip passes a request on.
func (t *heldTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.once.Do(func() {
		c, err := apitest.New()
		if err != nil {
			broken(err)
		}
		t.held = c.Transport(t.next, broken)
	})
	return t.held.RoundTrip(r)
}

func broken(err error) {
	fmt.Fprintln(os.Stderr, "not as the OpenAPI document has it:", err)
	os.Exit(exitContract)
}
