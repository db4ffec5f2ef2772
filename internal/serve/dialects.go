package serve

import (
	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
)

// Dialects are the wire contracts that this program speaks. An error is a
// mistake in one that is built in.
func Dialects() (*dialect.Registry, error) { return all.Registry() }
