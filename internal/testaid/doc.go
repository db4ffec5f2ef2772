// Package testaid is what tests of several packages need alike: tools that must
// be there, a log that is read while it is written, an answer over HTTP, and
// pages that are made from the code. Only tests import it.
package testaid
