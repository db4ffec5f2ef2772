package directory

import (
	"encoding/hex"
	"strconv"
	"strings"

	"grapnel/internal/hook"
)

// vendor is what a vendor's own ids lead to, deleted endpoints included.
type vendor struct {
	numbers map[int64]hook.EndpointNum    // by a VendorID that is a number
	uuids   map[[16]byte]hook.EndpointNum // that is a UUID
	others  map[string]hook.EndpointNum   // that is neither, in lower case
	highest int64                         // of the ids that are numbers
	marks   map[string]hook.TenantNum     // live ones, by the mark of their secret
}

func (d *Directory) vendor(family string) *vendor {
	v := d.vendors[family]
	if v == nil {
		v = &vendor{numbers: map[int64]hook.EndpointNum{}, uuids: map[[16]byte]hook.EndpointNum{}, others: map[string]hook.EndpointNum{}, marks: map[string]hook.TenantNum{}}
		d.vendors[string([]byte(family))] = v
	}
	return v
}

func (v *vendor) add(e *hook.Endpoint) {
	if n, err := strconv.ParseInt(e.VendorID, 10, 64); err == nil && n > v.highest {
		v.highest = n
	}
	if old, _ := v.find(e.VendorID); old > e.Num { // the id of one that went with its tenant may have been imported again
		return
	}
	if n, ok := number(e.VendorID); ok {
		v.numbers[n] = e.Num
	} else if id, ok := uuid(e.VendorID); ok {
		v.uuids[id] = e.Num
	} else {
		v.others[strings.ToLower(strings.Clone(e.VendorID))] = e.Num
	}
}

func (v *vendor) find(id string) (num hook.EndpointNum, ok bool) {
	if n, is := number(id); is {
		num, ok = v.numbers[n]
	} else if u, is := uuid(id); is {
		num, ok = v.uuids[u]
	} else {
		num, ok = v.others[strings.ToLower(id)]
	}
	return num, ok
}

// number reads an id that is a number in its one spelling.
func number(id string) (int64, bool) {
	n, err := strconv.ParseInt(id, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == id
}

// uuid reads an id in the usual form of a UUID, in either case.
func uuid(id string) (u [16]byte, ok bool) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return u, false
	}
	_, err := hex.Decode(u[:], []byte(id[:8]+id[9:13]+id[14:18]+id[19:23]+id[24:]))
	return u, err == nil
}

// unmark takes back by which secrets a tenant was found.
func (d *Directory) unmark(t *hook.Tenant) {
	for family, mark := range t.SecretMarks {
		if v := d.vendor(family); v.marks[mark] == t.Num {
			delete(v.marks, mark)
		}
	}
}

// mark takes over by which secrets a tenant is found.
func (d *Directory) mark(t *hook.Tenant) {
	for family, mark := range t.SecretMarks {
		d.vendor(family).marks[strings.Clone(mark)] = t.Num
	}
}

// EndpointByVendorID finds an endpoint of a dialect family by its VendorID,
// deleted ones included. A UUID is the same in either case.
func (d *Directory) EndpointByVendorID(family, id string) (*hook.Endpoint, bool) {
	d.mu.RLock()
	v := d.vendors[family]
	if v == nil {
		d.mu.RUnlock()
		return nil, false
	}
	num, ok := v.find(id)
	d.mu.RUnlock()
	if !ok {
		return nil, false
	}
	return d.Endpoint(num)
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
	num, ok := v.marks[mark]
	if !ok {
		return nil, false
	}
	return d.tenantAt(num, d.tenants.at(int64(num)).record), true
}
