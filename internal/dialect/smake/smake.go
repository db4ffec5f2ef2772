package smake

import (
	_ "embed"

	"grapnel/internal/dialect"
)

//go:embed dialect.yaml
var source []byte

//go:embed smake@2022-02-01.yaml
var later []byte

// Vendor is the contract: that of the vendor's own page, and its version of
// 2022-02-01 as a variant with another schedule (SM-R2).
func Vendor() (*dialect.Vendor, error) {
	original, err := dialect.Load("smake/dialect.yaml", source)
	if err != nil {
		return nil, err
	}
	variant, err := dialect.Load("smake/smake@2022-02-01.yaml", later)
	if err != nil {
		return nil, err
	}
	m := &api{catalogue: original.Catalogue()}
	return &dialect.Vendor{Dialects: []*dialect.Dialect{original, variant}, Routes: m.routes(), Refuse: refuse}, nil
}
