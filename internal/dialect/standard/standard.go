package standard

import (
	_ "embed"

	"grapnel/internal/dialect"
)

//go:embed dialect.yaml
var source []byte

// Dialect reads the dialect.
func Dialect() (*dialect.Dialect, error) { return dialect.Load("standard/dialect.yaml", source) }

// Vendor is the contract. It has no management API of its own: the native one
// is for it.
func Vendor() (*dialect.Vendor, error) {
	d, err := Dialect()
	if err != nil {
		return nil, err
	}
	return &dialect.Vendor{Dialects: []*dialect.Dialect{d}}, nil
}
