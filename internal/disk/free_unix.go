//go:build linux || darwin || freebsd

package disk

import "golang.org/x/sys/unix"

// Free is how many bytes this process can still write in a folder's file
// system; false where that cannot be told.
func Free(dir string) (int64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
