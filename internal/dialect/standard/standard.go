package standard

import (
	_ "embed"

	"grapnel/internal/dialect"
)

//go:embed dialect.yaml
var source []byte

// Dialect reads the dialect.
func Dialect() (*dialect.Dialect, error) { return dialect.Load("standard/dialect.yaml", source) }
