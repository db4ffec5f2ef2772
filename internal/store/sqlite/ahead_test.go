package sqlite

import (
	"bytes"
	"io"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"
)

// heap is a file in memory that counts reads.
type heap struct {
	vfs.File
	data  []byte
	reads int
}

func (h *heap) ReadAt(p []byte, off int64) (int, error) {
	h.reads++
	if off >= int64(len(h.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestReadAhead(t *testing.T) {
	t.Parallel()
	h := &heap{data: make([]byte, 1<<20+500)}
	for i := range h.data {
		h.data[i] = byte(i * 7 >> 3)
	}
	db, log := &joinedFile{File: h, sh: &shared{}}, &joinedFile{File: h, sh: &shared{log: true}}
	db.wal = log
	read := func(off int64, n int) {
		t.Helper()
		p, want := make([]byte, n), make([]byte, n)
		got, err := log.ReadAt(p, off)
		h.reads--
		all, wrong := h.ReadAt(want, off)
		if got != all || err != wrong || !bytes.Equal(p, want) {
			t.Fatalf("at %d: %d bytes and %v, not %d and %v, or other ones", off, got, err, all, wrong)
		}
		h.reads--
	}
	db.CheckpointStart()
	const frame = 4096 + 24
	for off := int64(56); off+4096 <= int64(len(h.data)); off += frame {
		if read(off, 4096); off/frame%50 == 3 { // a page that was written again later
			read(900_000, 4096)
		}
	}
	read(int64(len(h.data))-100, 200)
	read(int64(len(h.data))+100, 200)
	db.CheckpointDone()
	h.data[900_000]++
	read(900_000, 4096)
	db.CheckpointStart() // nothing is left of the one before
	h.data[60]++
	read(56, 4096)
	db.CheckpointDone()
}

func TestReadAheadReadsLess(t *testing.T) {
	t.Parallel()
	h := &heap{data: make([]byte, 1<<20)}
	a := ahead{on: true, end: -aheadBytes}
	for off := int64(0); off+4096 <= 1<<20; off += 4096 {
		if _, ok := a.read(h, make([]byte, 4096), off); !ok {
			h.reads++
		}
	}
	if h.reads > 20 {
		t.Fatalf("%d reads of 256 pages in a row", h.reads)
	}
}
