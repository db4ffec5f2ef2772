// Package dialecttest is the suite that every dialect passes: the bytes of its
// requests against files, its answers and its schedule against tables, and its
// signatures against a verifier that shares no code with it. It also makes the
// events that dialects are tested with.
package dialecttest
