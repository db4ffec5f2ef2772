package manage

import (
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"grapnel/internal/hook"
)

// HealthNotice is the data of a notice about how an endpoint fares.
type HealthNotice struct {
	Tenant       string    `json:"tenant" doc:"the tenant's id" example:"acme"`
	Endpoint     string    `json:"endpoint" doc:"the endpoint's id" example:"ep_01JB2X3Y4Z"`
	URL          string    `json:"url" doc:"where its deliveries go" example:"https://example.com/hooks"`
	FailingSince time.Time `json:"failing_since" doc:"when the first of the attempts began that all failed"`
	Reason       string    `json:"reason,omitzero" doc:"what became of the last attempt, in words" example:"answered 500"`
	DisabledAt   time.Time `json:"disabled_at,omitzero" doc:"from when on a failed attempt disables it; absent: it is not disabled for that"`
	At           time.Time `json:"at" doc:"when this was found"`
}

// FailedNotice is the data of a notice about a delivery that has failed.
type FailedNotice struct {
	Tenant   string    `json:"tenant" doc:"the tenant's id" example:"acme"`
	Endpoint string    `json:"endpoint" doc:"the endpoint's id" example:"ep_01JB2X3Y4Z"`
	URL      string    `json:"url" doc:"where it went" example:"https://example.com/hooks"`
	Delivery string    `json:"delivery" doc:"the delivery's id" example:"dlv_01JB2X3Y4Z.7"`
	Event    string    `json:"event" doc:"the event's id" example:"evt_01JB2X3Y4Z"`
	Type     string    `json:"type" doc:"the event's type" example:"invoice.paid"`
	Attempts int       `json:"attempts" doc:"how many were made" example:"8"`
	Reason   string    `json:"reason" doc:"why, in words" example:"answered 500; no attempt is left"`
	At       time.Time `json:"at" doc:"when it failed"`
}

// RotatedNotice is the data of a notice about a new secret.
type RotatedNotice struct {
	Tenant      string    `json:"tenant" doc:"the tenant's id" example:"acme"`
	Endpoint    string    `json:"endpoint" doc:"the endpoint's id" example:"ep_01JB2X3Y4Z"`
	URL         string    `json:"url" doc:"where its deliveries go" example:"https://example.com/hooks"`
	OldSignTill time.Time `json:"old_signs_until,omitzero" doc:"until when an older secret signs too; absent: none does"`
	At          time.Time `json:"at" doc:"when it was rotated"`
}

// toldAnew is for how long after an endpoint began to fail its first warning is
// told again after a restart, under the same id, so that it is one event.
const toldAnew = time.Hour

// EndpointFailing notes that all attempts of an endpoint have failed since a time,
// the last one for a reason, and tells of it. warning counts from 1.
func (m *Manager) EndpointFailing(ctx context.Context, num hook.EndpointNum, since time.Time, warning int, reason string) error {
	since = since.UTC().Truncate(time.Millisecond)
	var now time.Time
	var begins bool
	e, err := m.changeHealth(ctx, num, func(e *hook.Endpoint, at time.Time) bool {
		if now, begins = at, e.FailingSince.IsZero(); begins {
			e.FailingSince = since
		}
		return begins
	})
	if err != nil || e == nil || warning == 1 && !begins && now.Sub(e.FailingSince) > toldAnew {
		return err
	}
	if begins {
		m.Logger.Info("endpoint failing", "endpoint_id", e.ID, "tenant_id", e.Tenant, "since", since, "reason", reason)
	}
	n := HealthNotice{Tenant: e.Tenant, Endpoint: e.ID, URL: e.URL, FailingSince: e.FailingSince, Reason: reason, At: now.UTC()}
	if e.DisableAfter != 0 {
		n.DisabledAt = e.FailingSince.Add(e.DisableAfter)
	}
	m.tellHealth(ctx, NoticeFailing, e, n, warning)
	return nil
}

// EndpointRecovered notes that an endpoint that was failing has taken a delivery.
func (m *Manager) EndpointRecovered(ctx context.Context, num hook.EndpointNum) error {
	var since, now time.Time
	e, err := m.changeHealth(ctx, num, func(e *hook.Endpoint, at time.Time) bool {
		since, now = e.FailingSince, at
		e.FailingSince = time.Time{}
		return !since.IsZero()
	})
	if err != nil || e == nil || since.IsZero() {
		return err
	}
	m.Logger.Info("endpoint recovered", "endpoint_id", e.ID, "tenant_id", e.Tenant, "failed_since", since)
	m.tellHealth(ctx, NoticeRecovered, e, HealthNotice{Tenant: e.Tenant, Endpoint: e.ID, URL: e.URL, FailingSince: since, At: now.UTC()}, 0)
	return nil
}

// changeHealth changes what is known of an active endpoint's health; change says
// whether there is something to store. It is nobody's edit, so UpdatedAt stays.
// nil: the endpoint is not active any more.
func (m *Manager) changeHealth(ctx context.Context, num hook.EndpointNum, change func(e *hook.Endpoint, now time.Time) bool) (*hook.Endpoint, error) {
	return m.changeOwn(ctx, "note an endpoint's health", num, func(e *hook.Endpoint, now time.Time) (*hook.Endpoint, bool) {
		if !e.Active() {
			return nil, false
		}
		changed := *e
		return &changed, change(&changed, now)
	})
}

func (m *Manager) tellHealth(ctx context.Context, noticeType string, e *hook.Endpoint, n HealthNotice, warning int) {
	key := noticeType + "/" + e.ID + "/" + strconv.FormatInt(n.FailingSince.UnixMilli(), 10) + "/" + strconv.Itoa(warning)
	m.tellData(ctx, Notice{Key: key, Tenant: e.Tenant, Type: noticeType, Time: n.At}, n)
}

// Watched reports whether anybody is to be told of what happens to a tenant.
func (m *Manager) Watched(tenant hook.TenantNum) bool {
	return m.Tell != nil && (m.Directory.Noticed(tenant) || len(m.Directory.Operators()) > 0)
}

// TellFailed tells of a delivery that has failed for good. n lacks what the
// endpoint says.
func (m *Manager) TellFailed(ctx context.Context, key hook.DeliveryKey, n FailedNotice) {
	e, ok := m.Directory.Endpoint(key.Endpoint)
	if !ok || hook.Operational(n.Type) {
		return
	}
	n.Tenant, n.Endpoint, n.URL, n.Delivery, n.Event = e.Tenant, e.ID, e.URL, key.String(), key.Event.String()
	m.tellData(ctx, Notice{Key: NoticeFailed + "/" + n.Delivery + "/" + strconv.FormatInt(n.At.UnixMilli(), 10), Tenant: e.Tenant, Type: NoticeFailed, Time: n.At}, n)
}

func (m *Manager) tellRotated(ctx context.Context, e *hook.Endpoint) {
	n := RotatedNotice{Tenant: e.Tenant, Endpoint: e.ID, URL: e.URL, At: e.Secrets[0].CreatedAt.UTC()}
	for _, s := range e.Secrets[1:] {
		if s.ExpiresAt.After(n.OldSignTill) {
			n.OldSignTill = s.ExpiresAt.UTC()
		}
	}
	m.tellData(ctx, Notice{Key: NoticeRotated + "/" + e.ID + "/" + strconv.FormatInt(n.At.UnixMilli(), 10), Tenant: e.Tenant, Type: NoticeRotated, Time: n.At}, n)
}

// tellData tells a notice of its data. What it is about has happened, so a failure
// is logged.
func (m *Manager) tellData(ctx context.Context, n Notice, data any) {
	if m.Tell == nil {
		return
	}
	var err error
	if n.Data, err = json.Marshal(data); err == nil {
		err = m.tellAll(ctx, n)
	}
	if err != nil {
		m.Logger.Error("a tenant could not be told", "notice", n.Type, "key", n.Key, "tenant_id", n.Tenant, "error", err)
	}
}
