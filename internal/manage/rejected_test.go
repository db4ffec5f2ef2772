package manage_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// A tenant is told of an event that was rejected if one of its endpoints asked for that by
// name, and of the same one under the same key however often.
func TestTellRejected(t *testing.T) {
	t.Parallel()
	l := &told{}
	b := setup(t, func(c *manage.Config) { c.Tell = l.tell })
	b.tenant(t, "acme")
	b.tenant(t, "other")
	published := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	r := &store.Rejected{
		Waiting: store.Waiting{
			InboxPlace: store.InboxPlace{Tenant: 1, N: 7}, TenantID: "acme", At: published, Key: "invoice-17-paid", Type: "invoice.paid", Data: []byte(`{"a":1,"a":2}`),
		},
		RejectedAt: published.Add(time.Second), Code: hook.CodeInvalid, Reason: "/data: twice the same name",
	}
	tell := func(r *store.Rejected) {
		t.Helper()
		if err := b.TellRejected(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	tell(r)
	b.endpointOf(t, "acme", manage.EndpointInput{}) // for all types, which these are none of
	b.endpointOf(t, "other", manage.EndpointInput{EventTypes: &[]string{manage.NoticeRejected}})
	tell(r)
	if len(l.notices) != 0 {
		t.Fatalf("%+v: told though nobody of the tenant asked", l.notices)
	}
	b.endpointOf(t, "acme", manage.EndpointInput{EventTypes: &[]string{manage.NoticeRejected}})
	tell(r)
	tell(r)
	next := *r
	next.N++
	tell(&next)
	gone := *r
	gone.TenantID = "" // the tenant was deleted: there is nobody to tell
	tell(&gone)
	if len(l.notices) != 3 || l.notices[0].Key != l.notices[1].Key || l.notices[0].Key == l.notices[2].Key {
		t.Fatalf("told %+v", l.notices)
	}
	n := l.notices[0]
	var data manage.RejectedNotice
	if err := json.Unmarshal(n.Data, &data); err != nil {
		t.Fatal(err)
	}
	want := manage.RejectedNotice{Tenant: "acme", ID: "invoice-17-paid", Type: "invoice.paid", Code: "invalid", Reason: "/data: twice the same name", PublishedAt: published, At: published.Add(time.Second)}
	if diff := cmp.Diff(want, data); diff != "" || n.Tenant != "acme" || n.Type != manage.NoticeRejected || !n.Time.Equal(r.RejectedAt) || n.Only != nil {
		t.Errorf("told %+v: %s", n, diff)
	}
	l.err = errors.New("the store is away")
	if err := b.TellRejected(t.Context(), r); !errors.Is(err, l.err) {
		t.Errorf("got %v: who asks has to know, to ask again", err)
	}
}
