package directory

import (
	"strconv"
	"strings"

	"grapnel/internal/hook"
)

// vendor is what a vendor's own ids lead to.
type vendor struct {
	endpoints map[string]hook.EndpointNum // by VendorID in lower case, deleted ones included
	highest   int64                       // of the ids that are numbers
	marks     map[string]*hook.Tenant     // live ones, by the mark of their secret
}

func (d *Directory) vendor(family string) *vendor {
	v := d.vendors[family]
	if v == nil {
		v = &vendor{endpoints: map[string]hook.EndpointNum{}, marks: map[string]*hook.Tenant{}}
		d.vendors[family] = v
	}
	return v
}

func (v *vendor) add(e *hook.Endpoint) {
	if id := strings.ToLower(e.VendorID); v.endpoints[id] <= e.Num { // the id of one that went with its tenant may have been imported again
		v.endpoints[id] = e.Num
	}
	if n, err := strconv.ParseInt(e.VendorID, 10, 64); err == nil && n > v.highest {
		v.highest = n
	}
}

// mark takes over by which secrets a tenant is found.
func (d *Directory) mark(old *tenant, t *hook.Tenant) {
	if old != nil {
		for family, mark := range old.SecretMarks {
			if v := d.vendor(family); v.marks[mark] == old.Tenant {
				delete(v.marks, mark)
			}
		}
	}
	if t.Deleted {
		return
	}
	for family, mark := range t.SecretMarks {
		d.vendor(family).marks[mark] = t
	}
}

// EndpointByVendorID finds an endpoint of a dialect family by its VendorID,
// deleted ones included. A UUID is the same in either case.
func (d *Directory) EndpointByVendorID(family, id string) (*hook.Endpoint, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	v := d.vendors[family]
	if v == nil {
		return nil, false
	}
	e, ok := d.endpoints[v.endpoints[strings.ToLower(id)]]
	return e, ok
}

// HighestVendorID is the highest VendorID that is a number among the endpoints
// of a dialect family, deleted ones included; 0: there is none.
func (d *Directory) HighestVendorID(family string) int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if v := d.vendors[family]; v != nil {
		return v.highest
	}
	return 0
}

// TenantBySecretMark finds the live tenant whose secret for a dialect family
// has a mark.
func (d *Directory) TenantBySecretMark(family, mark string) (*hook.Tenant, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	v := d.vendors[family]
	if v == nil {
		return nil, false
	}
	t, ok := v.marks[mark]
	return t, ok
}
