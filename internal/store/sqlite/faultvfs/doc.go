// Package faultvfs is a test instrument: an SQLite VFS over the usual one whose
// calls fail when a test says so, at the n-th time or from then on, and which
// can cut a store off from its files as a kill of the process does.
package faultvfs
