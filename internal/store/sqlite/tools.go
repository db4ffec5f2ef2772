package sqlite

import (
	"context"
	"os"
	"path"
	"path/filepath"

	"grapnel/internal/store"
)

// Maintain does at once what else is done in the background: it seals segments
// that are full and prepares the next one.
func (s *Store) Maintain(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	return s.maintain()
}

// Schemas lists the databases of a folder that no process has open, with the
// schema version that each has and the one that this program would bring it to.
// It changes nothing.
func Schemas(dir string) ([]FileInfo, error) {
	unlock, err := holdFolder(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []FileInfo
	add := func(name string, k kind) error {
		info, err := schemaOf(filepath.Join(dir, filepath.FromSlash(name)), k)
		if err == nil {
			info.Name = name
			out = append(out, info)
		}
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, controlName)); err == nil {
		if err := add(controlName, controlDB); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, segmentDir))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, e := range entries {
		if _, ok := parseSegmentName(e.Name()); !ok {
			continue
		}
		if err := add(path.Join(segmentDir, e.Name()), segmentDB); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// schemaOf reads a database's schema version.
func schemaOf(file string, k kind) (FileInfo, error) {
	steps, err := k.steps()
	if err != nil {
		return FileInfo{}, err
	}
	stat, err := os.Stat(file)
	if err != nil {
		return FileInfo{}, err
	}
	c, err := openToRead(file)
	if err != nil {
		return FileInfo{}, err
	}
	defer c.close()
	version, err := c.int(`PRAGMA user_version`)
	return FileInfo{Kind: k.name, Schema: version, Current: int64(len(steps)), Bytes: stat.Size()}, err
}

// Pending lists the migrations of a kind of database after a version, as SQL.
func (f FileInfo) Pending() ([]string, error) {
	for _, k := range []kind{controlDB, segmentDB} {
		if k.name != f.Kind {
			continue
		}
		steps, err := k.steps()
		if err != nil {
			return nil, err
		}
		var out []string
		for _, st := range steps[min(f.Schema, int64(len(steps))):] {
			out = append(out, st.sql)
		}
		return out, nil
	}
	return nil, store.ErrNotFound
}
