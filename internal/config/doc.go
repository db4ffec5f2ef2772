// Package config holds the server's settings: one struct, each field with its
// meaning, its default and its limits, and the check that tells an operator
// which setting is wrong, where it came from and what to write instead.
//
// The struct tags are read by the command line, which fills the struct from
// flags and their environment twins; nothing here reads the environment by
// itself. Secrets have no flag, since a process list shows flags.
package config
