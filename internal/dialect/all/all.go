package all

import (
	"fmt"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/api2cart"
	"grapnel/internal/dialect/customers1st"
	"grapnel/internal/dialect/propstack"
	"grapnel/internal/dialect/sixpark"
	"grapnel/internal/dialect/smake"
	"grapnel/internal/dialect/standard"
)

// Vendors reads all contracts that are built in.
func Vendors() ([]*dialect.Vendor, error) {
	var vendors []*dialect.Vendor
	for _, read := range []func() (*dialect.Vendor, error){
		standard.Vendor,
		customers1st.Vendor,
		propstack.Vendor,
		smake.Vendor,
		sixpark.Vendor,
		api2cart.Vendor,
	} {
		v, err := read()
		if err != nil {
			return nil, fmt.Errorf("a built-in dialect does not load: %w", err)
		}
		vendors = append(vendors, v)
	}
	return vendors, nil
}

// Registry reads all dialects that are built in.
func Registry() (*dialect.Registry, error) {
	vendors, err := Vendors()
	if err != nil {
		return nil, err
	}
	var dialects []*dialect.Dialect
	for _, v := range vendors {
		dialects = append(dialects, v.Dialects...)
	}
	return dialect.NewRegistry(dialects...)
}
