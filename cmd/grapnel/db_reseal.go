package main

import (
	"errors"
	"maps"
	"slices"

	"grapnel/internal/keyring"
	"grapnel/internal/serve/offline"
)

type dbResealCmd struct {
	folder
	SecretKeyFile string `env:"GRAPNEL_SECRET_KEY_FILE" placeholder:"FILE" help:"The file with the keys, the new one first (default: the one in the folder)."`
	rehearsed
}

// Help gives examples.
func (*dbResealCmd) Help() string {
	return `Everything that is sealed with an older key is opened and sealed with the first key of the key
file, or of GRAPNEL_SECRET_KEY. Put the new key on the first line and leave the old one below it,
then run this; when it has ended well, nothing needs the old key. A data folder must not be open
in a server; a database may be, once all its servers have the new key first. What was cut short
goes on where it was when the command is run again. --dry-run says which keys are in use.

Examples:

    grapnel db reseal --dry-run --data grapnel-data
    grapnel db reseal --data grapnel-data
    grapnel db reseal --store postgres://grapnel@db.internal/grapnel --secret-key-file secret.key --json`
}

// Run seals anew.
func (c *dbResealCmd) Run(p *program) error {
	c.settle(p)
	ctx, stop := untilSignal()
	defer stop()
	data, err := c.open(ctx, "stop the server that has it")
	if err != nil {
		return err
	}
	defer data.Close()
	bar := p.progress(0, "sealing, secrets")
	s, err := data.Reseal(ctx, offline.Keys{Given: p.getenv("GRAPNEL_SECRET_KEY"), File: c.SecretKeyFile}, c.DryRun, func(n int) { bar.set(int64(n)) })
	bar.end()
	switch {
	case errors.Is(err, offline.ErrStillOlder), errors.Is(err, keyring.ErrOtherKey):
		return fail(exitConflict, "put the key that sealed them behind the new one, and run this again", "%w", err)
	case errors.Is(err, keyring.ErrNoKey):
		return fail(exitUsage, "name the key file with --secret-key-file, or give the keys in GRAPNEL_SECRET_KEY, the new one first", "%w", err)
	case err != nil:
		return unreached(err)
	}
	if p.JSON {
		return p.object(s)
	}
	if !s.DryRun {
		if err := p.printf("%d secrets sealed anew\n", s.Resealed); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.By)) {
		note := "older"
		if id == s.Key {
			note = "first"
		} else if !slices.Contains(s.Known, id) {
			note = "missing"
		}
		if err := p.printf("key %s (%s) has sealed %s\n", id, note, count(int64(s.By[id]), "secret")); err != nil {
			return err
		}
	}
	if s.Older() > 0 {
		return nil
	}
	return p.printf("no key but the first one, %s, is needed\n", s.Key)
}
