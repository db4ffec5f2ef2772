package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/keyring"
)

// manifestName is the last file of a backup. A stream without it was cut short.
const manifestName = "MANIFEST.json"

// backupFormat is the version of a backup's form.
const backupFormat = 1

// maxManifest bounds what is read of a manifest: some hundred bytes for each of
// a hundred thousand segments.
const maxManifest = 32 << 20

// secretName is the name that the key file has in a backup and in a folder.
const secretName = keyring.FileName

// Manifest says what a backup holds.
type Manifest struct {
	Format    int              `json:"format"`  // of the backup
	Program   string           `json:"program"` // version that made it
	Engine    string           `json:"engine"`
	Schema    map[string]int64 `json:"schema"`         // version of each kind of database
	Mark      string           `json:"mark,omitempty"` // id of the last event that was there when it was begun; all up to it are in it
	CreatedAt time.Time        `json:"created_at"`
	WithKey   bool             `json:"with_key"` // the key of the secrets is in it
	Files     []ManifestFile   `json:"files"`
}

// ManifestFile is one file of a backup.
type ManifestFile struct {
	Name   string `json:"name"` // with slashes, below the data folder
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hex
}

// file finds a file by its name.
func (m *Manifest) file(name string) *ManifestFile {
	for i := range m.Files {
		if m.Files[i].Name == name {
			return &m.Files[i]
		}
	}
	return nil
}

// Bytes is the size of all files together.
func (m *Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// parseManifest reads a manifest of a form that this program knows.
func parseManifest(text []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", manifestName, err)
	}
	if m.Format < 1 || m.Format > backupFormat {
		return nil, fmt.Errorf("the backup has format %d, this program knows up to %d: use the version that made it (%s), or a later one", m.Format, backupFormat, m.Program)
	}
	if m.Mark != "" {
		if _, err := hook.ParseEventID(m.Mark); err != nil {
			return nil, fmt.Errorf("%s: the mark is no event id", manifestName)
		}
	}
	if m.file(controlName) == nil {
		return nil, fmt.Errorf("%s does not list %s", manifestName, controlName)
	}
	for i, f := range m.Files {
		if !backupName(f.Name) || m.file(f.Name) != &m.Files[i] {
			return nil, fmt.Errorf("%s lists a file that does not belong there, or twice: %q", manifestName, hook.Clip(f.Name))
		}
	}
	return &m, nil
}

// DialectFolder is the folder in a data folder with the operator's own dialects.
// Nothing here reads them, but a backup without them would not be whole.
const DialectFolder = "dialects"

var dialectName = regexp.MustCompile(`^[A-Za-z0-9_@][A-Za-z0-9_.@-]{0,99}\.ya?ml$`)

// IsDialectFile reports whether a name in that folder is that of a dialect.
func IsDialectFile(name string) bool { return dialectName.MatchString(name) }

var segmentName = regexp.MustCompile(`^seg-[0-9]{16}\.db$`)

// backupName reports whether a backup may hold a file of that name. Nothing else
// is ever written by a restore.
func backupName(name string) bool {
	if name == controlName || name == secretName {
		return true
	}
	switch dir, base := path.Split(name); strings.TrimSuffix(dir, "/") {
	case segmentDir:
		return segmentName.MatchString(base)
	case DialectFolder:
		return IsDialectFile(base)
	}
	return false
}

// errCut says that a backup ends before its end.
var errCut = errors.New("the backup is cut short: it has no " + manifestName + " at its end, so what is missing cannot be told; take another one")
