// Package config holds the server's settings: one struct, each field with its
// meaning, its default and its limits, and the check that tells an operator
// which setting is wrong, where it came from and what to write instead.
//
// The struct tags are read by the command line, which fills the struct from
// flags and their environment twins, and by what writes docs/settings.md;
// nothing here reads the environment by itself. A settings file has the flags'
// names as its keys. Secrets have neither flag nor key: process lists show
// flags, and settings files are copied about. They come from the environment
// or from files of their own.
package config
