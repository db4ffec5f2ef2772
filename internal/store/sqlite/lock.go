package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"grapnel/internal/store"
)

// errHeld says that another process has the lock.
var errHeld = errors.New("lock is held")

// holder is what the lock file says about who has the folder.
type holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Since   time.Time `json:"since"`
	Program string    `json:"program"`
}

// lockFolder takes the folder for this process (case 19). The lock ends with the
// returned file, or with the process.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = lockFile(f)
	if errors.Is(err, errHeld) {
		defer f.Close()
		return nil, heldBy(dir, f)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	host, _ := os.Hostname()
	text, err := json.Marshal(holder{PID: os.Getpid(), Host: host, Since: startTime(f), Program: filepath.Base(os.Args[0])})
	if err == nil {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt(append(text, '\n'), 0)
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// startTime is about now by the file system's clock: the lock file's own time
// after it was touched.
func startTime(f *os.File) time.Time {
	if _, err := f.WriteAt([]byte("{"), 0); err != nil {
		return time.Time{}
	}
	info, err := f.Stat()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime().UTC().Truncate(time.Second)
}

// heldBy names the holder.
func heldBy(dir string, f *os.File) error {
	text, _ := io.ReadAll(io.LimitReader(f, 4096))
	var h holder
	if json.Unmarshal(text, &h) != nil || h.PID == 0 {
		return fmt.Errorf("%w: another process has the folder %s", store.ErrLocked, dir)
	}
	program := strings.TrimSpace(h.Program)
	return fmt.Errorf("%w: %s has the folder %s: process %d on host %s, since %s; stop it, or use another folder",
		store.ErrLocked, program, dir, h.PID, h.Host, h.Since.Format(time.RFC3339))
}
