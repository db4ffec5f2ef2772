package storetest

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// auditEntry makes an entry with all its fields set.
func auditEntry(object string, at time.Time, tenant hook.TenantNum) *hook.AuditEntry {
	return &hook.AuditEntry{
		At: at, Actor: hook.Actor{Kind: hook.ActorVendor, KeyID: "key_1", KeyName: "gk_a", Contract: "smake", Address: "192.0.2.1", Request: "req_1"},
		Action: "endpoint.update", Operation: "change an endpoint", Tenant: "t", TenantNum: tenant, Object: object, Result: hook.AuditDone,
		Changes: []hook.AuditChange{{Field: "state", Before: json.RawMessage(`"active"`), After: json.RawMessage(`"Ünï\u0000"`)}, {Field: "secrets"}},
	}
}

// audit reads what the audit log has of a tenant, in pages of two.
func (w *world) audit(q store.AuditQuery) (out []*hook.AuditEntry) {
	w.Helper()
	q.Limit = 2
	for {
		p, err := w.st.AuditLog(w.Context(), q)
		w.ok(err)
		if len(p.Entries) > q.Limit {
			w.Fatalf("a page of %d with a limit of %d", len(p.Entries), q.Limit)
		}
		if out = append(out, p.Entries...); p.Next == 0 {
			return out
		}
		if q.Oldest {
			q.After = p.Next
		} else {
			q.Before = p.Next
		}
	}
}

// case 118: the audit log.
var auditTests = []test{
	{"StoredWithTheChange", func(w *world) {
		e := auditEntry("ep_1", epoch, 7)
		alone := auditEntry("dlv_1", epoch.Add(time.Second), 8)
		made := auditEntry("t", epoch, 0)
		rev, err := w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "other"}, {ID: "t"}}, Audit: []*hook.AuditEntry{e, made}})
		w.ok(err)
		same, err := w.st.Configure(w.Context(), &store.Change{Audit: []*hook.AuditEntry{alone}})
		w.ok(err)
		w.same(rev, same)
		c, err := w.st.Configuration(w.Context(), 0)
		w.ok(err)
		w.same(int64(2), int64(made.TenantNum)) // the number that the tenant got with it
		w.same(c.Tenants[1].Num, made.TenantNum)
		e.Num, made.Num, alone.Num = 1, 2, 3
		for range 2 {
			w.same([]*hook.AuditEntry{alone, made, e}, w.audit(store.AuditQuery{Tenant: hook.AllTenants}))
			w.same([]*hook.AuditEntry{e, made, alone}, w.audit(store.AuditQuery{Tenant: hook.AllTenants, Oldest: true}))
			w.crash()
		}
	}},
	{"NothingOfAChangeThatFailed", func(w *world) {
		_, err := w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "t"}}})
		w.ok(err)
		for _, c := range []*store.Change{
			{Base: 9, Tenants: []*hook.Tenant{{ID: "u"}}},
			{Tenants: []*hook.Tenant{{ID: "t"}}},
			{Tenants: []*hook.Tenant{{ID: "u"}}, Complete: func() error { return errors.New("no") }},
		} {
			c.Audit = []*hook.AuditEntry{auditEntry("u", epoch, 0)}
			if _, err := w.st.Configure(w.Context(), c); err == nil {
				w.Fatal("stored")
			}
		}
		w.same([]*hook.AuditEntry(nil), w.audit(store.AuditQuery{Tenant: hook.AllTenants}))
	}},
	{"Selected", func(w *world) {
		var all []*hook.AuditEntry
		for i := range 12 {
			all = append(all, auditEntry("ep_1", epoch.Add(time.Duration(i)*time.Minute), hook.TenantNum(i%2+1)))
		}
		_, err := w.st.Configure(w.Context(), &store.Change{Audit: all})
		w.ok(err)
		for i, e := range all {
			e.Num = int64(i + 1)
		}
		of := func(keep func(e *hook.AuditEntry) bool) []*hook.AuditEntry {
			return slices.DeleteFunc(slices.Clone(all), func(e *hook.AuditEntry) bool { return !keep(e) })
		}
		w.same(of(func(e *hook.AuditEntry) bool { return e.TenantNum == 2 }), w.audit(store.AuditQuery{Tenant: 2, Oldest: true}))
		w.same([]*hook.AuditEntry(nil), w.audit(store.AuditQuery{Tenant: 3}))
		w.same(all[3:9], w.audit(store.AuditQuery{Tenant: hook.AllTenants, Since: all[3].At, Until: all[9].At, Oldest: true}))
		w.same(all[3:9], w.audit(store.AuditQuery{Tenant: hook.AllTenants, After: 3, Before: 10, Oldest: true}))
		w.same([]*hook.AuditEntry{all[10], all[8]}, w.audit(store.AuditQuery{Tenant: 1, After: 8}))
	}},
	{"OldEntriesGo", func(w *world) {
		var all []*hook.AuditEntry
		for i := range 3000 {
			all = append(all, auditEntry("ep_1", epoch.Add(time.Duration(i)*time.Second), 1))
		}
		_, err := w.st.Configure(w.Context(), &store.Change{Audit: all})
		w.ok(err)
		count := func() int {
			p, err := w.st.AuditLog(w.Context(), store.AuditQuery{Tenant: hook.AllTenants, Limit: 5000})
			w.ok(err)
			return len(p.Entries)
		}
		_, err = w.st.Prune(w.Context(), store.PruneQuery{Before: epoch.Add(time.Hour)})
		w.ok(err)
		w.same(3000, count())
		_, err = w.st.Prune(w.Context(), store.PruneQuery{Audit: epoch.Add(time.Hour), DryRun: true})
		w.ok(err)
		w.same(3000, count())
		_, err = w.st.Prune(w.Context(), store.PruneQuery{Audit: all[2500].At})
		w.ok(err)
		w.same(500, count())
		_, err = w.st.Prune(w.Context(), store.PruneQuery{Audit: epoch.Add(time.Hour)})
		w.ok(err)
		_, err = w.st.Configure(w.Context(), &store.Change{Audit: all[:1]})
		w.ok(err)
		left := w.audit(store.AuditQuery{Tenant: hook.AllTenants, Oldest: true})
		w.same(2, len(left)) // the last one stays, so that numbers go on
		w.same([]int64{3000, 3001}, []int64{left[0].Num, left[1].Num})
	}},
}
