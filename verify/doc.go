// Package verify is for those who receive webhooks: it tells whether a request
// was signed with one of their secrets, and if not, why.
//
// New reads Standard Webhooks 1.0: the headers webhook-id, webhook-timestamp
// and webhook-signature, with v1 signatures (a whsec_ secret) and v1a
// signatures (a whpk_ public key). For reads any other contract that is built
// in, and Load one that is a file: both by the definition that the sender
// signs with.
//
//	v, err := verify.New(os.Getenv("WEBHOOK_SECRET"))
//	…
//	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
//	…
//	if err := v.Verify(r.Header, body, time.Now()); err != nil {
//		http.Error(w, err.Error(), http.StatusUnauthorized)
//		return
//	}
//
// Verify the bytes that came in, before anything parses them. A verified
// request can still come twice: its webhook-id is the same then.
package verify
