// Package hostile is a test instrument: a receiver of webhooks that
// misbehaves. Each behaviour is one function, to be given to Listen; a
// well-behaved one that records and answers as it is told is among them. It
// stands on the standard library and x/net alone, works on raw connections,
// and is no part of the program.
package hostile
