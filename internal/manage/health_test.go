package manage_test

import (
	"encoding/json"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// health sets up a tenant whose endpoint is watched by another one of its own and by
// the operator, who is told of all tenants.
func health(t *testing.T) (*bundle, *told, *hook.Endpoint) {
	t.Helper()
	l := &told{}
	b := setup(t, func(c *manage.Config) { c.Tell = l.tell })
	b.tenant(t, "acme")
	if _, err := b.PutTenant(t.Context(), "ops", manage.TenantInput{Operator: new(true)}); err != nil {
		t.Fatal(err)
	}
	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{DisableAfter: new(24 * time.Hour)})
	types := []string{manage.NoticeFailing, manage.NoticeRecovered, manage.NoticeFailed, manage.NoticeRotated}
	b.endpointOf(t, "acme", manage.EndpointInput{EventTypes: &types})
	b.endpointOf(t, "ops", manage.EndpointInput{EventTypes: &types})
	return b, l, e
}

func TestHealthIsToldToTenantAndOperator(t *testing.T) {
	t.Parallel()
	b, l, e := health(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	since := time.Now().Add(-12 * time.Minute).UTC().Truncate(time.Millisecond)
	must(b.EndpointFailing(t.Context(), e.Num, since, 1, "answered 500"))
	now, _ := b.dir.Endpoint(e.Num)
	if !now.FailingSince.Equal(since) || !now.UpdatedAt.Equal(e.UpdatedAt) {
		t.Errorf("failing since %s, updated %s", now.FailingSince, now.UpdatedAt)
	}
	if len(l.notices) != 2 || l.notices[0].Tenant != "ops" || l.notices[1].Tenant != "acme" {
		t.Fatalf("%+v", l.notices)
	}
	var n manage.HealthNotice
	must(json.Unmarshal(l.notices[0].Data, &n))
	if n.Tenant != "acme" || n.Endpoint != e.ID || n.URL != e.URL || n.Reason != "answered 500" || !n.FailingSince.Equal(since) || !n.DisabledAt.Equal(since.Add(24*time.Hour)) {
		t.Errorf("%s", l.notices[0].Data)
	}

	// The second warning is another event; the first one told again is the same.
	must(b.EndpointFailing(t.Context(), e.Num, since, 2, "answered 500"))
	must(b.EndpointFailing(t.Context(), e.Num, since, 1, "answered 500"))
	if len(l.notices) != 6 || l.notices[2].Key == l.notices[0].Key || l.notices[4].Key != l.notices[0].Key {
		t.Fatalf("%+v", l.notices)
	}

	must(b.EndpointRecovered(t.Context(), e.Num))
	must(b.EndpointRecovered(t.Context(), e.Num)) // is so already
	now, _ = b.dir.Endpoint(e.Num)
	if len(l.notices) != 8 || l.notices[7].Type != manage.NoticeRecovered || !now.FailingSince.IsZero() {
		t.Fatalf("%+v", l.notices[6:])
	}
}

// What its owner changes ends what was known: another URL, or going on.
func TestHealthBeginsAnew(t *testing.T) {
	t.Parallel()
	b, _, e := health(t)
	for name, in := range map[string]manage.EndpointInput{
		"url":   {URL: new("https://other.example.com/")},
		"state": {State: new(hook.EndpointPaused)},
	} {
		if err := b.EndpointFailing(t.Context(), e.Num, time.Now(), 1, "answered 500"); err != nil {
			t.Fatal(err)
		}
		changed, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, in)
		if err != nil || !changed.FailingSince.IsZero() {
			t.Errorf("%s: failing since %s, %v", name, changed.FailingSince, err)
		}
	}
	// Paused now: nothing is noted.
	if err := b.EndpointFailing(t.Context(), e.Num, time.Now(), 1, "answered 500"); err != nil {
		t.Fatal(err)
	}
	if now, _ := b.dir.Endpoint(e.Num); !now.FailingSince.IsZero() {
		t.Error("a paused endpoint is failing")
	}
}

func TestFailuresAndRotationsAreTold(t *testing.T) {
	t.Parallel()
	b, l, e := health(t)
	key := hook.DeliveryKey{Event: hook.FirstEventID(time.Now()), Endpoint: e.Num}
	b.TellFailed(t.Context(), key, manage.FailedNotice{Type: "invoice.paid", Attempts: 8, Reason: "answered 500", At: time.Now()})
	b.TellFailed(t.Context(), key, manage.FailedNotice{Type: manage.NoticeFailing, Attempts: 8, At: time.Now()}) // or they would tell of each other for ever
	if _, _, err := b.RotateSecret(t.Context(), "acme", e.ID, manage.Rotation{}); err != nil {
		t.Fatal(err)
	}
	if len(l.notices) != 4 {
		t.Fatalf("%+v", l.notices)
	}
	var failed manage.FailedNotice
	var rotated manage.RotatedNotice
	if err := json.Unmarshal(l.notices[1].Data, &failed); err != nil || failed.Delivery != key.String() || failed.Type != "invoice.paid" || failed.Attempts != 8 || failed.Tenant != "acme" {
		t.Errorf("%s, %v", l.notices[1].Data, err)
	}
	if err := json.Unmarshal(l.notices[3].Data, &rotated); err != nil || rotated.Endpoint != e.ID || rotated.OldSignTill.Before(time.Now().Add(time.Hour)) {
		t.Errorf("%s, %v", l.notices[3].Data, err)
	}
}

func TestDisableAfterIsChecked(t *testing.T) {
	t.Parallel()
	b, _, e := health(t)
	for _, d := range []time.Duration{-time.Second, time.Second, 91 * 24 * time.Hour} {
		_, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{DisableAfter: &d})
		refused(t, d.String(), err, hook.CodeInvalid, "/disable_after")
	}
	changed, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{DisableAfter: new(time.Duration(0))})
	if err != nil || changed.DisableAfter != 0 {
		t.Errorf("%s, %v", changed.DisableAfter, err)
	}
}
