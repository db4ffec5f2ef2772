package api2cart

import (
	_ "embed"

	"grapnel/internal/dialect"
)

//go:embed dialect.yaml
var source []byte

// Dialect reads the dialect.
func Dialect() (*dialect.Dialect, error) { return dialect.Load("api2cart/dialect.yaml", source) }

// Vendor is the contract with its management API.
func Vendor() (*dialect.Vendor, error) {
	d, err := Dialect()
	if err != nil {
		return nil, err
	}
	return &dialect.Vendor{Dialects: []*dialect.Dialect{d}, Routes: routes(), Refuse: outside}, nil
}
