// Package vendors serves the management APIs of vendors' contracts, at the
// vendors' own paths, beside the native API. What a path, a parameter or an
// error looks like is the business of the contract's room in internal/dialect;
// what is done, and who may do it, is decided here, by dialect.Control.
//
// Queries are never logged, counted or traced: some vendors carry keys in them.
package vendors
