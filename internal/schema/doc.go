// Package schema holds data of events against JSON Schemas (2020-12): what does not fit
// is named by its place, what was found there and what is wanted. A check
// takes bounded time, which is known before it begins (see price.go), and a schema refers to
// nothing outside of itself.
package schema
