package trial

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"grapnel/internal/disk"
	"grapnel/internal/hook"
)

// stateFile is kept in the data folder, for its owner alone: the store itself
// shows neither keys nor secrets again.
const stateFile = "trial.json"

// state is what a trial has to know of the one before in the same folder.
type state struct {
	AdminKey  string              `json:"admin_key"`
	Receiver  string              `json:"receiver"`             // its address
	VendorKey string              `json:"vendor_key,omitempty"` // for a vendor's management API
	Secret    string              `json:"secret,omitempty"`     // of the tenant and its endpoints, where their dialect takes any
	Endpoints map[string]endpoint `json:"endpoints"`
}

type endpoint struct {
	ID      string `json:"id"`
	Secret  string `json:"secret"`
	Dialect string `json:"dialect,omitempty"` // "": standard
}

func (e endpoint) speaks() string {
	if e.Dialect == "" {
		return standard
	}
	return e.Dialect
}

// loadState reads the state, or begins one. given is an admin key that the
// operator chose, or "".
func loadState(dir, given string) (*state, error) {
	s := &state{Endpoints: map[string]endpoint{}}
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read the trial's state: %w", err)
	default:
		if err := json.Unmarshal(b, s); err != nil {
			return nil, fmt.Errorf("read the trial's state in %s (remove the folder to begin anew): %w", filepath.Join(dir, stateFile), err)
		}
	}
	if given != "" {
		s.AdminKey = given
	}
	if s.AdminKey == "" {
		s.AdminKey = "gk_dev_" + rand.Text()
	}
	return s, nil
}

// save keeps the state, whole or not at all.
func (s *state) save(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, stateFile)
	if err := disk.Replace(path, append(b, '\n')); err != nil {
		return fmt.Errorf("keep the trial's state: %w", err)
	}
	return nil
}

// secrets of an endpoint, none if it is not made yet.
func (s *state) secrets(name string) []hook.Secret {
	if e, ok := s.Endpoints[name]; ok && e.Secret != "" {
		return []hook.Secret{hook.Secret(e.Secret)}
	}
	return nil
}
