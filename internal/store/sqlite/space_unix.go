//go:build unix

package sqlite

import "golang.org/x/sys/unix"

// freeSpace is how many bytes can still be written in a folder's file system;
// false if that cannot be told.
func freeSpace(dir string) (int64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
