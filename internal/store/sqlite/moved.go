package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// movedName is the file that says that a folder's store has been moved elsewhere.
const movedName = "moved"

// MarkMoved says in a folder that what was in it is elsewhere now. The store can be
// opened all the same; servers ask Moved.
func MarkMoved(dir, where string, at time.Time) error {
	text := fmt.Sprintf(`to %s, at %s

A server on this folder and one on the database would send everything twice.
To go back to what is here, stop those on the database and remove this file.
`, where, at.UTC().Format(time.RFC3339))
	return os.WriteFile(filepath.Join(dir, movedName), []byte(text), 0o600)
}

// Moved refuses a folder that MarkMoved was called of.
func Moved(dir string) error {
	file := filepath.Join(dir, movedName)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return fmt.Errorf("%w %s: start with --store, or, to go back to what was in the folder then, remove %s", ErrMoved, line, file)
}

// ErrMoved says that a folder's store is elsewhere now.
var ErrMoved = errors.New("the store in this folder was moved")
