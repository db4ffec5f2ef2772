//go:build !(linux || darwin || freebsd)

package serve

// freeBytes is -1: it cannot be told here.
func freeBytes(string) int64 { return -1 }
