// Package pgtest gives tests a PostgreSQL server of their own: a cluster in a
// temporary folder, that ends with the test binary however that ends, and in it
// a database for each test. Only tests import it.
//
// A test that only needs a database asks for one (Database, Empty): all tests of
// a binary share one cluster, which does not sync. A test that stops the server,
// or is about what survives that, starts one for itself (Start).
package pgtest
