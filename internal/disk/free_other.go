//go:build !(linux || darwin || freebsd || windows)

package disk

// Free cannot be told here.
func Free(string) (int64, bool) { return 0, false }
