package config

import (
	"errors"
	"strings"
)

// Assemble reads settings from their texts, over what c holds, and goes on
// after a text that cannot be read, so that every fault is found at once.
// given returns a setting's texts, nil for one that is not set, and where they
// came from. The error is nil or joined *Errors.
func (c *Config) Assemble(given func(setting string) (texts []string, from string)) error {
	var errs []error
	for _, f := range fields() {
		if f.name == "" {
			continue
		}
		texts, from := given(f.name)
		if texts == nil {
			continue
		}
		if err := f.set(c, texts...); err != nil {
			reason, remedy, ok := strings.Cut(err.Error(), "; ")
			if !ok {
				remedy = "write " + f.bounds()
			}
			errs = append(errs, &Error{Setting: "--" + f.name, Source: from, Reason: reason, Remedy: remedy})
		}
	}
	return errors.Join(errs...)
}
