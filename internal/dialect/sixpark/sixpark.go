package sixpark

import (
	_ "embed"

	"grapnel/internal/dialect"
)

//go:embed dialect.yaml
var source []byte

//go:embed sixpark@base64.yaml
var inBase64 []byte

// Vendor is the contract: hex signatures, and base64 ones as a variant (SP-S4).
func Vendor() (*dialect.Vendor, error) {
	hex, err := dialect.Load("sixpark/dialect.yaml", source)
	if err != nil {
		return nil, err
	}
	base64, err := dialect.Load("sixpark/sixpark@base64.yaml", inBase64)
	if err != nil {
		return nil, err
	}
	return &dialect.Vendor{Dialects: []*dialect.Dialect{hex, base64}, Routes: routes, Refuse: refuse}, nil
}
