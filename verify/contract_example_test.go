package verify_test

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"grapnel/verify"
)

// Any contract is verified by its name, and what is wrong is explained.
func ExampleFor() {
	v, err := verify.For("api2cart", "ed58a22dfecb405a50ea3ea56979360d") // the store_key
	if err != nil {
		log.Fatal(err)
	}
	r := verify.Request{Header: http.Header{
		"X-Webhook-Store-Id":   {"1"},
		"X-Webhook-Action":     {"update"},
		"X-Webhook-Entity":     {"product"},
		"X-Webhook-Error-Code": {"0"},
		"X-Webhook-Timestamp":  {"1516291592"},
		"X-Webhook-Signature":  {"7kM+Lo2eR2jz2BO2Kj0ZP0BDUqEleQXDmbpYTuRGZEI="},
	}}
	now := time.Unix(1516291600, 0) // time.Now(), if this were no example
	fmt.Println(v.VerifyRequest(r, now))

	r.Header.Set("X-Webhook-Hop", "edge-1") // by a proxy before the receiver
	fmt.Println(v.VerifyRequest(r, now) != nil)
	fmt.Println(v.Explain(r, now))
	// Output:
	// <nil>
	// true
	// The header X-Webhook-Hop was not there when the request was signed. Let the proxy before the receiver add its headers under names that begin in another way: the contract signs all that begin so.
}
