package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"grapnel/internal/serve/offline"
)

// keys are those that the settings name.
func (d *doctor) keys() offline.Keys {
	return offline.Keys{Given: d.settings.SecretKey, File: d.settings.SecretKeyFile}
}

// checkDatabaseKeys says which keys have sealed what is in a database.
func (d *doctor) checkDatabaseKeys(ctx context.Context, f *offline.Facts) {
	if f.Schema != f.Current || f.Unfit != nil || f.Standby {
		return
	}
	data, err := offline.OpenDatabase(ctx, d.settings.Store)
	if err != nil {
		d.add("secret key", checkSkipped, "", "the secrets cannot be looked at: %s", plain(err.Error()))
		return
	}
	defer data.Close()
	seals, err := data.Reseal(ctx, d.keys(), true, nil)
	if err != nil {
		d.add("secret key", checkSkipped, "", "the secrets cannot be looked at: %s", plain(err.Error()))
		return
	}
	d.checkKeys(seals)
}

// checkKeys says whether what is sealed can be opened, and whether a key behind the
// first one is still needed (case 104). Nil: nobody can tell.
func (d *doctor) checkKeys(s *offline.Seals) {
	if s == nil {
		d.add("secret key", checkSkipped, "", "there is no key, or nothing that can be read")
		return
	}
	var missing []string
	total := 0
	for _, id := range slices.Sorted(maps.Keys(s.By)) {
		total += s.By[id]
		if !slices.Contains(s.Known, id) {
			missing = append(missing, fmt.Sprintf("%q (%d)", id, s.By[id]))
		}
	}
	switch older := s.Older(); {
	case len(missing) > 0:
		d.add("secret key", checkFailed, "put the keys back behind the others: without them these secrets are lost", "keys are missing that have sealed secrets: %s", strings.Join(missing, ", "))
	case older > 0:
		d.add("secret key", checkWarning, "grapnel db reseal seals them with the first one; then the older keys can be taken out", "%d of %d secrets are sealed with another key than the first one, %s", older, total, s.Key)
	default:
		d.add("secret key", checkOK, "", "all %d secrets are sealed with key %s; no other is needed", total, s.Key)
	}
}
