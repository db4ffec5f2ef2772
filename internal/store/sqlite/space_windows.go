package sqlite

import "golang.org/x/sys/windows"

// freeSpace is how many bytes can still be written in a folder's file system;
// false if that cannot be told.
func freeSpace(dir string) (int64, bool) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, false
	}
	return int64(free), true
}
