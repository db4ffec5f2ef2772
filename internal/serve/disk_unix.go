//go:build linux || darwin || freebsd

package serve

import "golang.org/x/sys/unix"

// freeBytes is the room that is left to the program in a folder's file system,
// -1 where that cannot be told.
func freeBytes(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
