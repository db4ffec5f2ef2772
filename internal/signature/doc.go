// Package signature holds the signing schemes of webhook contracts, in both
// directions: HMAC with SHA-1, SHA-256 and SHA-512, ed25519, the encodings in
// which their results are written, and the forms in which Standard Webhooks
// writes its keys (whsec_, whsk_, whpk_).
//
// It is pure: bytes in, bytes or a yes and no out. What is signed, and how the
// result is put into a header, is the business of internal/dialect.
package signature
