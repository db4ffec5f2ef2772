// Package interop proves with the libraries of others that receivers accept
// what we sign, and refuse it after one byte has changed. It holds tests
// alone.
//
// The JavaScript libraries are in test/js; npm ci there installs them. Without
// them, or without node, their tests are skipped, unless
// GRAPNEL_TEST_REQUIRE=1 is in the environment.
package interop
