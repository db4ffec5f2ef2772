package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"grapnel/verify"
)

// verified wraps a handler so that it sees only requests that verify: others
// get 401. The handler finds the body in the request as if nobody had read it.
func verified(v *verify.Verifier, now func() time.Time, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "cannot read the body", http.StatusBadRequest)
			return
		}
		if err := v.Verify(r.Header, body, now()); err != nil {
			http.Error(w, "not verified", http.StatusUnauthorized)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// signed is a request as a server sends it: to a path, with a signature of the
// secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw.
func signed(path string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"test": 2432232314}`))
	r.Header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	r.Header.Set("webhook-timestamp", "1614265330")
	r.Header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	return r
}

// thatDay is when the requests of these examples were signed. A receiver uses
// time.Now.
func thatDay() time.Time { return time.Unix(1614265330, 0) }

// With a router, verification is a wrapper around the routes that receive
// webhooks. Each route may have a verifier of its own.
func Example_router() {
	v, err := verify.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/{source}", verified(v, thatDay, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "cannot read the body", http.StatusBadRequest)
			return
		}
		fmt.Printf("from %s: %s\n", r.PathValue("source"), body)
		w.WriteHeader(http.StatusNoContent)
	})))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, signed("/hooks/billing"))
	fmt.Println(w.Code)

	forged := signed("/hooks/billing")
	forged.Body = io.NopCloser(strings.NewReader(`{"test": 1}`))
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, forged)
	fmt.Println(w.Code)
	// Output:
	// from billing: {"test": 2432232314}
	// 204
	// 401
}

// While a secret is being replaced, requests are signed with both. A receiver
// that is given both keeps working whichever side changes first; the old one is
// taken out when the overlap has ended.
func ExampleNew_rotation() {
	const old, fresh = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDKnz2Dbt0+3w="
	body := []byte(`{"test": 2432232314}`)
	for _, secrets := range [][]string{{old}, {fresh, old}, {fresh}} {
		v, err := verify.New(secrets...)
		if err != nil {
			log.Fatal(err)
		}
		err = v.Verify(signed("/").Header, body, thatDay())
		fmt.Println(len(secrets), errors.Is(err, verify.NoMatch))
	}
	// Output:
	// 1 false
	// 2 false
	// 1 true
}

// A request can come twice: after a time-out, for instance, that only the
// sender saw. Its webhook-id is the same then, and what was done once is not
// done again.
func Example_duplicates() {
	v, err := verify.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		log.Fatal(err)
	}
	seen := map[string]bool{} // a table with a unique key, in a real receiver
	receive := verified(v, thatDay, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("webhook-id"); !seen[id] {
			seen[id] = true
			fmt.Println("handled", id)
		}
		w.WriteHeader(http.StatusNoContent) // the second time too
	}))
	for range 2 {
		w := httptest.NewRecorder()
		receive.ServeHTTP(w, signed("/hooks"))
		fmt.Println(w.Code)
	}
	// Output:
	// handled msg_p5jXN8AQM9LWM0D4loKWxJek
	// 204
	// 204
}
