package standin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// entry is one line of the journal. Kind says which fields are set.
type entry struct {
	Kind     string    `json:"kind"` // endpoint, event, attempt
	ID       string    `json:"id,omitempty"`
	Tenant   string    `json:"tenant,omitempty"`
	Key      string    `json:"key,omitempty"`
	Type     string    `json:"type,omitempty"`
	Data     []byte    `json:"data,omitempty"`
	At       time.Time `json:"at"`
	URL      string    `json:"url,omitempty"`
	Secret   string    `json:"secret,omitempty"`
	Types    []string  `json:"types,omitempty"`
	Endpoint string    `json:"endpoint,omitempty"`
	Status   int       `json:"status,omitempty"`
	SHA256   string    `json:"sha256,omitempty"`
}

// journal is the append-only file. Concurrent writers share an fsync.
type journal struct {
	mu               sync.Mutex
	synced           sync.Cond
	file             *os.File
	out              *bufio.Writer
	written, durable int64
	busy             bool
	err              error
}

// openJournal reads what there is and opens the file to append. A last line
// that a crash cut off is removed.
func openJournal(dir string, replay func(*entry)) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "journal.db"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(f)
	end := int64(0)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break // the end, or half a line
		}
		e := new(entry)
		if err := json.Unmarshal(line, e); err != nil {
			return nil, errors.Join(fmt.Errorf("journal at %d: %w", end, err), f.Close())
		}
		replay(e)
		end += int64(len(line))
	}
	if err := f.Truncate(end); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Seek(end, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	j := &journal{file: f, out: bufio.NewWriterSize(f, 1<<20)}
	j.synced.L = &j.mu
	return j, nil
}

// write appends entries and waits until they are on disk.
func (j *journal) write(entries ...*entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := j.out.Write(append(line, '\n')); err != nil {
			return err
		}
		j.written++
	}
	for n := j.written; j.durable < n && j.err == nil; {
		if j.busy {
			j.synced.Wait()
			continue
		}
		j.busy = true
		upTo := j.written
		err := j.out.Flush()
		j.mu.Unlock()
		if err == nil {
			err = j.file.Sync()
		}
		j.mu.Lock()
		j.busy, j.durable, j.err = false, upTo, err
		j.synced.Broadcast()
	}
	return j.err
}
