package directory

import (
	"cmp"
	"slices"

	"grapnel/internal/hook"
)

// member is a change of the lists of a tenant.
type member struct {
	tenant hook.TenantNum
	num    hook.EndpointNum
	live   bool
	moved  bool // it belongs to another tenant by now
}

// enlist changes tenants' lists. Each is made anew once, however many of its
// endpoints changed.
func (d *Directory) enlist(changes []member) {
	slices.SortStableFunc(changes, func(a, b member) int { return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.num, b.num)) })
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && changes[n].tenant == changes[0].tenant {
			n++
		}
		d.enlistIn(changes[0].tenant, changes[:n])
		changes = changes[n:]
	}
}

func (d *Directory) enlistIn(num hook.TenantNum, changes []member) {
	t := d.tenants.of(int64(num))
	d.versions++
	t.version = d.versions
	live := d.merged(t.live, changes, func(c member) bool { return c.live })
	t.count = int32(len(live))
	t.live = d.relist(t.live, liveRecord, num, live)
	if t.gone != 0 || slices.ContainsFunc(changes, func(c member) bool { return !c.live && !c.moved }) {
		t.gone = d.relist(t.gone, goneRecord, num, d.merged(t.gone, changes, func(c member) bool { return !c.live && !c.moved }))
	}
}

// merged are the numbers of a list after changes, which are in order.
func (d *Directory) merged(list place, changes []member, in func(member) bool) []hook.EndpointNum {
	var l listed
	if list != 0 {
		_, record := d.arena.at(list)
		l = listOf(record)
	}
	out := make([]hook.EndpointNum, 0, l.left+len(changes))
	num, more := l.next()
	for i, c := range changes {
		for ; more && num < c.num; num, more = l.next() {
			out = append(out, num)
		}
		if more && num == c.num {
			num, more = l.next()
		}
		last := i+1 == len(changes) || changes[i+1].num != c.num
		if last && in(c) {
			out = append(out, c.num)
		}
	}
	for ; more; num, more = l.next() {
		out = append(out, num)
	}
	return out
}

// relist puts a list in the place of an old one.
func (d *Directory) relist(old place, kind byte, tenant hook.TenantNum, nums []hook.EndpointNum) place {
	d.arena.drop(old)
	if len(nums) == 0 {
		return 0
	}
	d.scratch = packNums(d.scratch[:0], kind, tenant, nums)
	return d.arena.add(d.scratch)
}

// moved finds whom a record of a sparse chunk belongs to.
func (d *Directory) moved(record []byte, from place, to func() place) {
	u := unpacker{view(record)[1:]}
	num := u.int()
	var at *place
	switch record[0] {
	case endpointRecord:
		at = d.endpoints.of(num)
	case tenantRecord:
		at = &d.tenants.of(num).record
	case liveRecord:
		at = &d.tenants.of(num).live
	case goneRecord:
		at = &d.tenants.of(num).gone
	}
	if *at == from {
		*at = to()
	}
}

// enlistAll makes the lists of all tenants from the endpoints that are there. To
// sort a million of them would take as much memory again as they do, so each
// endpoint is chained to the next one of its tenant.
func (d *Directory) enlistAll() {
	type chain struct{ live, gone hook.EndpointNum }
	var firsts table[chain]
	var next table[hook.EndpointNum]
	for num, at := range d.endpoints.backwards() {
		if at == 0 {
			continue
		}
		_, record := d.arena.at(at)
		o := outlineOf(view(record), d.names.names)
		c := firsts.of(int64(o.Tenant))
		first := &c.live
		if o.Deleted {
			first = &c.gone
		}
		*next.of(num), *first = *first, o.Num
	}
	var nums []hook.EndpointNum
	follow := func(num hook.EndpointNum) []hook.EndpointNum {
		nums = nums[:0]
		for ; num != 0; num = next.at(int64(num)) {
			nums = append(nums, num)
		}
		return nums
	}
	for num, c := range firsts.backwards() {
		if c == (chain{}) {
			continue
		}
		t, tenant := d.tenants.of(num), hook.TenantNum(num)
		d.versions++
		t.version = d.versions
		live := follow(c.live)
		t.count, t.live = int32(len(live)), d.relist(t.live, liveRecord, tenant, live)
		t.gone = d.relist(t.gone, goneRecord, tenant, follow(c.gone))
	}
}
