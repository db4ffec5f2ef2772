// Package faultvfs is a test instrument: an SQLite VFS over the usual one whose
// calls fail when a test says so, at the n-th time or from then on, and which
// can cut a store off from its files as a kill of the process does. It also keeps a
// record of what was synced, from which it makes what a loss of power leaves. What a
// program does to files past SQLite is not in that record.
package faultvfs
