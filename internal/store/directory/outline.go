package directory

import (
	"grapnel/internal/hook"
)

// Outline is what matching has to know of an endpoint, read from its packed form.
// Its texts are valid only while the function that it is given to runs.
type Outline struct {
	Num        hook.EndpointNum
	Tenant     hook.TenantNum
	State      hook.EndpointState
	Deleted    bool
	Dialect    string   // valid for ever
	EventTypes []string // as in hook.Endpoint

	head                           byte
	filter, settings, vendor, rest string
}

func outlineOf(s string, names names) (o Outline) {
	u := unpacker{s[1:]}
	o.Num, o.Tenant = hook.EndpointNum(u.int()), hook.TenantNum(u.int())
	o.head = u.take(1)[0]
	o.Deleted = o.head&isDeleted != 0
	if state := o.head & stateBits; state != otherState {
		o.State = states[state]
	} else {
		o.State = hook.EndpointState(u.bytes())
	}
	if num := u.uint(); num > 0 {
		o.Dialect = names.dialects[num-1]
	} else {
		o.Dialect = string([]byte(u.bytes()))
	}
	switch num := u.uint(); num {
	case 0:
	case 1:
		o.EventTypes = u.texts()
	default:
		o.EventTypes = names.types[num-2]
	}
	if o.head&hasFilter != 0 {
		o.filter = u.bytes()
	}
	if o.head&hasSettings != 0 {
		o.settings = u.bytes()
	}
	if o.head&hasVendorID != 0 {
		o.vendor = u.skipText()
	}
	o.rest = u.s
	return o
}

// Active reports whether deliveries are sent, as hook.Endpoint.Active does.
func (o *Outline) Active() bool { return o.State == hook.EndpointActive && !o.Deleted }

// Filter is the text of the endpoint's condition tree, "" if it has none.
func (o *Outline) Filter() string { return o.filter }

// Setting is one of the endpoint's settings, "" if it does not have it. It is
// valid for ever.
func (o *Outline) Setting(name string) string {
	if o.settings == "" {
		return ""
	}
	u := unpacker{o.settings}
	for n := u.uint(); n > 1; n-- {
		found := u.text() == name
		if value := u.skipText(); found {
			v := unpacker{value}
			return string([]byte(v.text()))
		}
	}
	return ""
}

// HasVendorID reports whether the endpoint has a VendorID.
func (o *Outline) HasVendorID() bool { return o.head&hasVendorID != 0 }

func (o *Outline) vendorID() string {
	if o.vendor == "" {
		return ""
	}
	u := unpacker{o.vendor}
	return u.text()
}

// hasID compares the endpoint's id with a packed one.
func (o *Outline) hasID(packed string) bool {
	u := unpacker{o.rest}
	return u.skipText() == packed
}
