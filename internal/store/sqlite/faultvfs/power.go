package faultvfs

import (
	"bytes"
	"cmp"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sector is what a disk writes as a whole.
const sector = 512

// Loss says what a loss of power leaves of what was not synced: writes,
// truncations, and names that were given, changed or taken away.
type Loss int

// The losses.
const (
	LoseAll  Loss = iota // nothing of them
	LoseNone             // all of them
	// LoseSome leaves any sectors and any truncations: what is left when a disk
	// writes in any order, for of two writes of a sector either may be the one that
	// stays. A change of a name is left or not, each for itself, and a new name
	// either replaces the old one or does not.
	LoseSome
	// Tear leaves each file's writes up to some moment in their order, the last one
	// torn at a sector, and the changes of names up to another.
	Tear
)

// disk remembers what was synced and what was not. A file's sync makes its
// content and its being there durable, as on the usual file systems; a new
// place, or its being gone, is durable after its folder's sync.
type disk struct {
	live    map[string]*inode
	durable map[string]*inode
	renames []naming // of names, since their folders were synced, in order
}

// naming is a change of a file's name: from "" it is new, to "" it goes.
type naming struct {
	from, to string
	file     *inode
}

// apply does it to the names that a disk has.
func (c naming) apply(names map[string]*inode) {
	if c.from != "" && names[c.from] == c.file {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.file
	}
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

// AtSync calls a function before each sync, with nothing of that sync done yet. It may
// look at the record and lose power, and must not use what is being synced.
func (f *FS) AtSync(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.atSync = fn
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
		d.renames = append(d.renames, naming{to: path, file: d.live[path]})
	}
}

func (d *disk) deleted(path string) {
	if n := d.live[path]; n != nil {
		d.renames = append(d.renames, naming{from: path, file: n})
		delete(d.live, path)
	}
}

func (d *disk) renamed(from, to string) {
	if n := d.live[from]; n != nil {
		d.renames = append(d.renames, naming{from, to, n})
		d.live[to] = n
		delete(d.live, from)
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
	d.renames = slices.DeleteFunc(d.renames, func(c naming) bool { return filepath.Dir(cmp.Or(c.to, c.from)) == dir })
}

// Rename gives a file another name.
func (f *FS) Rename(from, to string) error {
	if err := f.call(Rename); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	f.note(func(d *disk) { d.renamed(from, to) })
	return nil
}

// LosePower writes what is left after a loss of power into another folder.
func (f *FS) LosePower(from, to string, loss Loss, random *rand.Rand) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := f.disk.names(loss, random)
	for _, path := range slices.Sorted(maps.Keys(names)) { // in order, for the seed to say all
		n := names[path]
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

// names are those that are left.
func (d *disk) names(loss Loss, random *rand.Rand) map[string]*inode {
	switch loss {
	case LoseAll:
		return d.durable
	case LoseNone:
		return d.live
	}
	names := maps.Clone(d.durable)
	until := random.IntN(len(d.renames) + 1)
	for i, c := range d.renames {
		if loss == Tear && i < until || loss == LoseSome && random.IntN(2) == 0 {
			c.apply(names)
		}
	}
	return names
}

// left is what is left of a file.
func (n *inode) left(loss Loss, random *rand.Rand) []byte {
	out := &inode{content: bytes.Clone(n.content)}
	if loss == Tear {
		until := random.IntN(len(n.pending) + 1)
		for _, c := range n.pending[:until] {
			out.apply(c)
		}
		if until < len(n.pending) && len(n.pending[until].data) > 0 {
			c := n.pending[until]
			// Where a sector ends, in the file: a write need not begin with one.
			ends := int(min(int64(len(c.data)), max(0, (c.off/sector+1+random.Int64N(int64(len(c.data)/sector+1)))*sector-c.off)))
			out.apply(change{c.off, c.data[:ends]})
		}
		return out.content
	}
	for _, c := range n.pending {
		switch {
		case loss == LoseNone, loss == LoseSome && c.data == nil && random.IntN(2) == 0:
			out.apply(c)
		case loss == LoseSome:
			for i, end := 0, 0; i < len(c.data); i = end {
				end = min(len(c.data), i+sector-int((c.off+int64(i))%sector)) // where the file's sector ends
				if random.IntN(2) == 0 {
					out.apply(change{c.off + int64(i), c.data[i:end]})
				}
			}
		}
	}
	return out.content
}
