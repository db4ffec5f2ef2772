// Package eithertest opens the store that tests above the engines run on: SQLite, or
// PostgreSQL in a second pass of the same tests, where GRAPNEL_TEST_STORE says so. So
// what is tested there holds on both. Only tests import it.
package eithertest
