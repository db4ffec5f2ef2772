package main

import (
	"fmt"
	"strings"

	"grapnel/internal/spelling"
)

// oneOf refuses a flag's value that is none of the known ones, and says which
// it may have been meant to be.
func oneOf(flag, value string, known ...string) error {
	for _, word := range known {
		if value == word {
			return nil
		}
	}
	hint := "write one of " + strings.Join(known, ", ")
	if guess := spelling.Nearest(value, known); guess != "" {
		hint = fmt.Sprintf("did you mean %q?", guess)
	}
	return fail(exitUsage, hint, "%s: there is no %q", flag, value)
}
