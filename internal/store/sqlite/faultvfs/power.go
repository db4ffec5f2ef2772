package faultvfs

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// sector is what a disk writes as a whole.
const sector = 512

// Loss says what a loss of power leaves of writes that were not synced.
type Loss int

// The losses.
const (
	LoseAll  Loss = iota // nothing of them
	LoseNone             // all of them
	LoseSome             // any of their sectors, in any order
)

// disk remembers what was synced and what was not. A file's sync makes its
// content and its being there durable, as on the usual file systems; a new
// place, or its being gone, is durable after its folder's sync.
type disk struct {
	live    map[string]*inode
	durable map[string]*inode
}

type inode struct {
	content []byte
	pending []change
}

// change is a write, or a truncation if data is nil.
type change struct {
	off  int64
	data []byte
}

func (n *inode) apply(c change) {
	end := c.off + int64(len(c.data))
	if c.data == nil {
		n.content = append(n.content[:min(int64(len(n.content)), c.off)], make([]byte, max(0, c.off-int64(len(n.content))))...)
		return
	}
	if grow := end - int64(len(n.content)); grow > 0 {
		n.content = append(n.content, make([]byte, grow)...)
	}
	copy(n.content[c.off:], c.data)
}

// Record begins to remember what is synced. The folder has to be empty still.
func (f *FS) Record() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk = &disk{live: map[string]*inode{}, durable: map[string]*inode{}}
}

// KillAtSync lets everything fail from the n-th sync from now on, that one
// included.
func (f *FS) KillAtSync(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killAt = f.counts[Sync] + n
}

// Dead reports whether everything fails.
func (f *FS) Dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// note changes the record, if there is one. Called after a call succeeded.
func (f *FS) note(fn func(d *disk)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.disk != nil && !f.dead {
		fn(f.disk)
	}
}

func (d *disk) created(path string) {
	if d.live[path] == nil {
		d.live[path] = &inode{}
	}
}

func (d *disk) changed(path string, c change) {
	if n := d.live[path]; n != nil {
		n.pending = append(n.pending, c)
	}
}

func (d *disk) synced(path string) {
	n := d.live[path]
	if n == nil {
		return
	}
	for _, c := range n.pending {
		n.apply(c)
	}
	n.pending = nil
	if !slices.Contains(inodes(d.durable), n) {
		d.durable[path] = n
	}
}

func inodes(m map[string]*inode) (out []*inode) {
	for _, n := range m {
		out = append(out, n)
	}
	return out
}

func (d *disk) syncedDir(dir string) {
	for path := range d.durable {
		if filepath.Dir(path) == dir && d.live[path] != d.durable[path] {
			delete(d.durable, path)
		}
	}
	for path, n := range d.live {
		if filepath.Dir(path) == dir {
			d.durable[path] = n
		}
	}
}

// Rename gives a file another name.
func (f *FS) Rename(from, to string) error {
	if f.Dead() {
		return sqlite3.IOERR
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	f.note(func(d *disk) {
		d.live[to] = d.live[from]
		delete(d.live, from)
	})
	return nil
}

// LosePower writes what is left after a loss of power into another folder.
func (f *FS) LosePower(from, to string, loss Loss, random *rand.Rand) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := f.disk.durable
	if loss == LoseNone {
		names = f.disk.live
	}
	for path, n := range names {
		rel, err := filepath.Rel(from, path)
		if err != nil || strings.HasPrefix(rel, "..") {
			continue
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(target, n.left(loss, random), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// left is what is left of a file.
func (n *inode) left(loss Loss, random *rand.Rand) []byte {
	out := &inode{content: bytes.Clone(n.content)}
	for _, c := range n.pending {
		switch {
		case loss == LoseNone, loss == LoseSome && c.data == nil && random.IntN(2) == 0:
			out.apply(c)
		case loss == LoseSome:
			for i := 0; i < len(c.data); i += sector {
				if random.IntN(2) == 0 {
					out.apply(change{c.off + int64(i), c.data[i:min(i+sector, len(c.data))]})
				}
			}
		}
	}
	return out.content
}
