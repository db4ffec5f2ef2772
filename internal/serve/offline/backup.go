package offline

import (
	"context"
	"fmt"
	"io"

	"grapnel/internal/store/sqlite"
)

// Backup says what a backup holds.
type Backup = sqlite.Manifest

// Verify reads a backup and holds every file against the manifest, without
// writing anything.
func Verify(ctx context.Context, r io.Reader) (*Backup, error) {
	return sqlite.Verify(ctx, r, nil)
}

// Unpack writes a backup's files into a folder, to be looked at, and holds every
// one against the manifest. progress is told how many bytes were written.
func Unpack(ctx context.Context, r io.Reader, dir string, progress func(written int64)) (*Backup, error) {
	return sqlite.Unpack(ctx, r, dir, progress)
}

// Restore makes a data folder out of a backup, which has been held against its
// manifest and looked through before anything gets its place. dir must be empty
// or not there. progress is told how many bytes were written.
func Restore(ctx context.Context, r io.Reader, dir string, progress func(written int64)) (*Backup, error) {
	look := func(unpacked string) error {
		report, err := Check(ctx, unpacked, nil)
		if err == nil && len(report.Findings) > 0 {
			f := report.Findings[0]
			err = fmt.Errorf("the store in the backup is damaged: %s: %s", f.File, f.Problem)
		}
		return err
	}
	return sqlite.Restore(ctx, r, sqlite.RestoreOptions{Dir: dir, Progress: progress, Verify: look})
}
