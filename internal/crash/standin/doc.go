// Package standin is a small server with the face of Grapnel that the
// instruments drive: it accepts events, keeps them in one append-only file,
// signs and delivers them, retries, and lists what became of them. It shares
// no code with the product.
//
// It exists to test the instruments: it can be told to have a Flaw, which the
// crash harness must then find.
package standin
