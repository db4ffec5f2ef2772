// Package schema holds data of events against JSON Schemas (2020-12): what does not fit
// is named by its place, what was found there and what is wanted. A check ends after a
// bounded number of steps, and a schema refers to nothing outside of itself.
package schema
