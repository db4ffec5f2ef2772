package directory

import (
	"time"
	"unsafe"

	"grapnel/internal/hook"
)

// The kinds of packed records. Each begins with its kind and the number that it
// belongs to.
const (
	tenantRecord   = 't'
	endpointRecord = 'e'
	liveRecord     = 'l' // the numbers of a tenant's live endpoints
	goneRecord     = 'g' // of its deleted ones
)

// What the first byte of an endpoint says, above the two bits of its state.
const (
	stateBits   = 3
	otherState  = 3 // it is written out
	isDeleted   = 1 << 2
	hasFilter   = 1 << 3
	hasSettings = 1 << 4
	hasVendorID = 1 << 5
)

var states = [...]hook.EndpointState{hook.EndpointActive, hook.EndpointPaused, hook.EndpointDisabled}

// The parts of an endpoint that most do not have.
const (
	pTenant = 1 << iota
	pDescription
	pFields
	pPastFields
	pPastSettings
	pHeaders
	pSchedule
	pTimeout
	pRateLimit
	pMaxInFlight
	pOrdering
	pSkipAfter
	pStateReason
	pSecrets
	pAuth
	pTLS
	pTransform
	pPastTransforms
	pDisableAfter
	pFailingSince
)

// packEndpoint appends an endpoint. What matching needs stands first, so that it
// is read without the rest.
func packEndpoint(b []byte, e *hook.Endpoint, names *interner) []byte {
	p := packer{append(b, endpointRecord)}
	p.int(int64(e.Num))
	p.int(int64(e.TenantNum))
	p.headOf(e, names)
	p.text(e.ID)
	parts := partsOf(e)
	p.uint(parts)
	at := e.CreatedAt
	p.time(at, time.Time{})
	p.time(e.UpdatedAt, at)
	p.time(e.StateAt, at)
	p.text(e.URL)
	p.restOf(e, parts, at)
	return p.b
}

func (p *packer) headOf(e *hook.Endpoint, names *interner) {
	var head byte = otherState
	for i, state := range states {
		if e.State == state {
			head = byte(i)
		}
	}
	for _, f := range [...]struct {
		set bool
		bit byte
	}{{e.Deleted, isDeleted}, {e.Filter != nil, hasFilter}, {e.Settings != nil, hasSettings}, {e.VendorID != "", hasVendorID}} {
		if f.set {
			head |= f.bit
		}
	}
	p.b = append(p.b, head)
	if head&stateBits == otherState {
		p.bytes(string(e.State))
	}
	if num, ok := names.dialect(e.Dialect); ok {
		p.uint(uint64(num) + 1)
	} else {
		p.uint(0)
		p.bytes(e.Dialect)
	}
	p.types(e.EventTypes, names)
	if e.Filter != nil {
		p.bytes(string(e.Filter))
	}
	if e.Settings != nil {
		var settings packer
		packMap(&settings, e.Settings)
		p.bytes(string(settings.b))
	}
	if e.VendorID != "" {
		p.text(e.VendorID)
	}
}

// types writes event types: 0 for nil, 1 and the names, or the number of a list.
func (p *packer) types(list []string, names *interner) {
	if list == nil {
		p.uint(0)
		return
	}
	if num, ok := names.typeList(list); ok {
		p.uint(uint64(num) + 2)
		return
	}
	p.uint(1)
	p.texts(list)
}

func partsOf(e *hook.Endpoint) (parts uint64) {
	for i, there := range [...]bool{
		e.Tenant != "", e.Description != "", e.Fields != nil, e.PastFields != nil, e.PastSettings != nil, e.Headers != nil, e.Schedule != nil,
		e.Timeout != 0, e.RateLimit != 0, e.MaxInFlight != 0, e.Ordering != "", e.SkipAfter != 0, e.StateReason != "", e.Secrets != nil,
		e.Auth != nil, e.TLS != nil, e.Transform != "", e.PastTransforms != nil, e.DisableAfter != 0, !e.FailingSince.IsZero(),
	} {
		if there {
			parts |= 1 << i
		}
	}
	return parts
}

func (p *packer) restOf(e *hook.Endpoint, parts uint64, at time.Time) {
	part := func(bit uint64, write func()) {
		if parts&bit != 0 {
			write()
		}
	}
	part(pTenant, func() { p.text(e.Tenant) })
	part(pDescription, func() { p.text(e.Description) })
	part(pFields, func() { p.texts(e.Fields) })
	part(pPastFields, func() { packPast(p, e.PastFields, at, p.texts) })
	part(pPastSettings, func() { packPast(p, e.PastSettings, at, func(m map[string]string) { packMap(p, m) }) })
	part(pHeaders, func() {
		packList(p, e.Headers, func(h hook.Header) { p.text(h.Name); p.text(h.Value); p.text(string(h.Sealed)) })
	})
	part(pSchedule, func() { packList(p, e.Schedule, func(d time.Duration) { p.int(int64(d)) }) })
	part(pTimeout, func() { p.int(int64(e.Timeout)) })
	part(pRateLimit, func() { p.float(e.RateLimit) })
	part(pMaxInFlight, func() { p.int(int64(e.MaxInFlight)) })
	part(pOrdering, func() { p.text(string(e.Ordering)) })
	part(pSkipAfter, func() { p.int(int64(e.SkipAfter)) })
	part(pStateReason, func() { p.text(e.StateReason) })
	part(pSecrets, func() {
		packList(p, e.Secrets, func(s hook.EndpointSecret) {
			p.text(string(s.Sealed))
			p.text(s.Public)
			p.time(s.CreatedAt, at)
			p.time(s.ExpiresAt, at)
		})
	})
	part(pAuth, func() { p.auth(e.Auth) })
	part(pTLS, func() { p.text(e.TLS.Certificate); p.text(string(e.TLS.Key)); p.text(e.TLS.CA) })
	part(pTransform, func() { p.text(e.Transform) })
	part(pPastTransforms, func() { packPast(p, e.PastTransforms, at, p.text) })
	part(pDisableAfter, func() { p.int(int64(e.DisableAfter)) })
	part(pFailingSince, func() { p.time(e.FailingSince, at) })
}

// unpackEndpoint reads what packEndpoint made. The endpoint's texts are parts of s.
func unpackEndpoint(s string, names names) *hook.Endpoint {
	o := outlineOf(s, names)
	e := &hook.Endpoint{
		Num: o.Num, TenantNum: o.Tenant, State: o.State, Deleted: o.Deleted, Dialect: o.Dialect, EventTypes: o.EventTypes, VendorID: o.vendorID(),
	}
	if o.head&hasFilter != 0 {
		e.Filter = []byte(o.filter)
	}
	if o.head&hasSettings != 0 {
		settings := unpacker{o.settings}
		e.Settings = unpackMap[string](&settings)
	}
	u := unpacker{o.rest}
	e.ID = u.text()
	parts := u.uint()
	e.CreatedAt = u.time(time.Time{})
	e.UpdatedAt = u.time(e.CreatedAt)
	e.StateAt = u.time(e.CreatedAt)
	e.URL = u.text()
	u.restOf(e, parts)
	return e
}

func (u *unpacker) restOf(e *hook.Endpoint, parts uint64) {
	at := e.CreatedAt
	for parts != 0 {
		bit := parts & -parts
		parts &^= bit
		switch bit {
		case pTenant:
			e.Tenant = u.text()
		case pDescription:
			e.Description = u.text()
		case pFields:
			e.Fields = u.texts()
		case pPastFields:
			e.PastFields = unpackPast(u, at, u.texts)
		case pPastSettings:
			e.PastSettings = unpackPast(u, at, func() map[string]string { return unpackMap[string](u) })
		case pHeaders:
			e.Headers = unpackList(u, func() hook.Header {
				return hook.Header{Name: u.text(), Value: u.text(), Sealed: hook.Sealed(u.text())}
			})
		case pSchedule:
			e.Schedule = unpackList(u, func() time.Duration { return time.Duration(u.int()) })
		case pTimeout:
			e.Timeout = time.Duration(u.int())
		case pRateLimit:
			e.RateLimit = u.float()
		case pMaxInFlight:
			e.MaxInFlight = int(u.int())
		case pOrdering:
			e.Ordering = hook.Ordering(u.text())
		case pSkipAfter:
			e.SkipAfter = int(u.int())
		case pStateReason:
			e.StateReason = u.text()
		case pSecrets:
			e.Secrets = unpackList(u, func() hook.EndpointSecret {
				return hook.EndpointSecret{Sealed: hook.Sealed(u.text()), Public: u.text(), CreatedAt: u.time(at), ExpiresAt: u.time(at)}
			})
		case pAuth:
			e.Auth = u.auth()
		case pTLS:
			e.TLS = &hook.EndpointTLS{Certificate: u.text(), Key: hook.Sealed(u.text()), CA: u.text()}
		case pTransform:
			e.Transform = u.text()
		case pPastTransforms:
			e.PastTransforms = unpackPast(u, at, u.text)
		case pDisableAfter:
			e.DisableAfter = time.Duration(u.int())
		case pFailingSince:
			e.FailingSince = u.time(at)
		}
	}
}

// What a tenant is or not.
const (
	tenantDeleted byte = 1 << iota
	tenantPrograms
	tenantOperator
)

// packTenant appends a tenant.
func packTenant(b []byte, t *hook.Tenant) []byte {
	p := packer{append(b, tenantRecord)}
	p.int(int64(t.Num))
	var flags byte
	if t.Deleted {
		flags |= tenantDeleted
	}
	if t.Programs {
		flags |= tenantPrograms
	}
	if t.Operator {
		flags |= tenantOperator
	}
	p.b = append(p.b, flags)
	p.text(t.ID)
	at := t.CreatedAt
	p.time(at, time.Time{})
	p.time(t.UpdatedAt, at)
	p.text(t.Name)
	p.text(t.Dialect)
	p.text(t.APIVersion)
	packPast(&p, t.PastAPIVersions, at, p.text)
	packMap(&p, t.Settings)
	packPast(&p, t.PastSettings, at, func(m map[string]string) { packMap(&p, m) })
	packMap(&p, t.Secrets)
	packMap(&p, t.SecretMarks)
	p.float(t.Quota.Events)
	p.int(t.Quota.Pending)
	p.int(t.LinkEpoch)
	if c := t.Connection; c != nil {
		p.uint(1)
		p.time(c.LostAt, at)
		p.int(int64(c.Code))
		p.text(c.Reason)
		p.text(c.Message)
		p.int(int64(c.Told))
		p.time(c.NextAt, at)
	} else {
		p.uint(0)
	}
	return p.b
}

// unpackTenant reads what packTenant made. The tenant's texts are parts of s.
func unpackTenant(s string) *hook.Tenant {
	u := unpacker{s[1:]}
	t := &hook.Tenant{Num: hook.TenantNum(u.int())}
	flags := u.take(1)[0]
	t.Deleted, t.Programs, t.Operator = flags&tenantDeleted != 0, flags&tenantPrograms != 0, flags&tenantOperator != 0
	t.ID = u.text()
	at := u.time(time.Time{})
	t.CreatedAt, t.UpdatedAt = at, u.time(at)
	t.Name, t.Dialect, t.APIVersion = u.text(), u.text(), u.text()
	t.PastAPIVersions = unpackPast(&u, at, u.text)
	t.Settings = unpackMap[string](&u)
	t.PastSettings = unpackPast(&u, at, func() map[string]string { return unpackMap[string](&u) })
	t.Secrets = unpackMap[hook.Sealed](&u)
	t.SecretMarks = unpackMap[string](&u)
	t.Quota = hook.Quota{Events: u.float(), Pending: u.int()}
	t.LinkEpoch = u.int()
	if u.uint() == 1 {
		t.Connection = &hook.Connection{LostAt: u.time(at), Code: int(u.int()), Reason: u.text(), Message: u.text(), Told: int(u.int()), NextAt: u.time(at)}
	}
	return t
}

// packNums appends a list of numbers, ascending.
func packNums(b []byte, kind byte, tenant hook.TenantNum, nums []hook.EndpointNum) []byte {
	p := packer{append(b, kind)}
	p.int(int64(tenant))
	p.uint(uint64(len(nums)))
	var before hook.EndpointNum
	for _, num := range nums {
		p.int(int64(num - before))
		before = num
	}
	return p.b
}

// listed counts and reads the numbers of a list.
type listed struct {
	left   int
	num    hook.EndpointNum
	packed unpacker
}

func listOf(record []byte) listed {
	u := unpacker{view(record)[1:]}
	u.int()
	n := u.uint()
	return listed{left: int(n), packed: u}
}

func (l *listed) next() (hook.EndpointNum, bool) {
	if l.left == 0 {
		return 0, false
	}
	l.left--
	l.num += hook.EndpointNum(l.packed.int())
	return l.num, true
}

// view is a packed record as a text, to be read while it is kept alive.
func view(record []byte) string { return unsafe.String(unsafe.SliceData(record), len(record)) }
