//go:build !unix || aix || solaris

package directory

// mapMemory has nothing to give here: the heap is used.
func mapMemory(int) []byte { return nil }

func unmapMemory([]byte) {}
