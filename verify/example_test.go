package verify_test

import (
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

// A receiver with net/http: read the body as it is, verify it, then parse it.
func Example() {
	v, err := verify.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		log.Fatal(err)
	}
	now := func() time.Time { return time.Unix(1614265330, 0) } // time.Now, if this were no example

	receive := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "cannot read the body", http.StatusBadRequest)
			return
		}
		if err := v.Verify(r.Header, body, now()); err != nil {
			log.Print(err) // says what is wrong
			http.Error(w, "not verified", http.StatusUnauthorized)
			return
		}
		// Remember r.Header.Get("webhook-id") here: it is the same if the request comes again.
		w.WriteHeader(http.StatusNoContent)
	}

	r := httptest.NewRequest(http.MethodPost, "/hooks", strings.NewReader(`{"test": 2432232314}`))
	r.Header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	r.Header.Set("webhook-timestamp", "1614265330")
	r.Header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	w := httptest.NewRecorder()
	receive(w, r)
	fmt.Println(w.Code)
	// Output: 204
}

// What to do may depend on the reason.
func ExampleVerifier_Verify() {
	v, err := verify.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		log.Fatal(err)
	}
	h := http.Header{}
	h.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	h.Set("webhook-timestamp", "1614265330")
	h.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	err = v.Verify(h, []byte(`{"test": 2432232314}`), time.Unix(1614269330, 0))
	fmt.Println(errors.Is(err, verify.TooOld))
	fmt.Println(err)
	// Output:
	// true
	// webhook not verified: the timestamp in webhook-timestamp is 1h6m40s old, more than 5m0s: an old request sent again, or the receiver's clock is fast
}
