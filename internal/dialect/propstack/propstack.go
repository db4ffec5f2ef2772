package propstack

import (
	_ "embed"

	"grapnel/internal/dialect"
)

//go:embed dialect.yaml
var source []byte

// Vendor is the contract: the dialect and the API.
func Vendor() (*dialect.Vendor, error) {
	d, err := dialect.Load("propstack/dialect.yaml", source)
	if err != nil {
		return nil, err
	}
	return &dialect.Vendor{Dialects: []*dialect.Dialect{d}, Routes: routes(), Refuse: refuse}, nil
}
