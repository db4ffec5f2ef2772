//go:build !(linux || darwin || freebsd)

package main

// freeBytes cannot be told here.
func freeBytes(string) (int64, bool) { return 0, false }

// descriptorLimit cannot be told here.
func descriptorLimit() (uint64, bool) { return 0, false }
