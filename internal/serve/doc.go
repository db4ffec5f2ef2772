// Package serve wires the server: it builds the parts, starts them in order
// and stops them in reverse. It is the one place that names an engine and the
// set of dialects.
package serve
