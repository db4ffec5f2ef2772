package customers1st

import (
	_ "embed"

	"grapnel/internal/dialect"
)

//go:embed dialect.yaml
var enveloped []byte

//go:embed customers1st@bare.yaml
var bare []byte

// Vendor is the contract: the dialect, the variant whose body is the object
// itself, and the API.
func Vendor() (*dialect.Vendor, error) {
	first, err := dialect.Load("customers1st/dialect.yaml", enveloped)
	if err != nil {
		return nil, err
	}
	variant, err := dialect.Load("customers1st/customers1st@bare.yaml", bare)
	if err != nil {
		return nil, err
	}
	return &dialect.Vendor{Dialects: []*dialect.Dialect{first, variant}, Routes: routes, Refuse: refuse}, nil
}
