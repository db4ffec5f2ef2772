// Package storetest is the suite that every engine of package store passes. Its
// files are cut by the contract's verbs.
package storetest
