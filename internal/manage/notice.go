package manage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// Notice is an operational event: what the server tells a tenant of its own
// accord. It goes the way of any other event, to those endpoints of the tenant
// that subscribe to its type by name.
type Notice struct {
	Key    string // the event's own id; a notice that is told again has the same
	Tenant string
	Type   string
	Time   time.Time
	Data   []byte // JSON of the shape that Notices names

	Metadata []byte         // a JSON object for dialects, or nil
	Only     *hook.Endpoint // it goes to this endpoint alone, whatever that subscribes to; nil: to those that want it
}

// NoticeKind is a type of notice and what is told of it in the documents.
type NoticeKind struct {
	Type    string
	Name    string // in camelCase
	Summary string
	Doc     string
	Data    any // the zero value of the data's shape
}

// The types of notices.
const (
	NoticeFailing   = hook.OperationalPrefix + "endpoint.failing"
	NoticeRecovered = hook.OperationalPrefix + "endpoint.recovered"
	NoticeFailed    = hook.OperationalPrefix + "delivery.failed"
	NoticeRotated   = hook.OperationalPrefix + "secret.rotated"
	NoticeDisabled  = hook.OperationalPrefix + "endpoint.disabled"
	NoticeRemoved   = hook.OperationalPrefix + "endpoint.removed"
	NoticeRejected  = hook.OperationalPrefix + "event.rejected"
)

// Notices lists all types of notices.
func Notices() []NoticeKind {
	return []NoticeKind{
		{NoticeDisabled, "endpointDisabled", "The server has disabled an endpoint",
			"Its receiver gave an answer that, by the endpoint's dialect, means that nothing more is to be sent, such as 410, or all its attempts failed for as long as its disable_after, or the connection with the tenant's store stayed lost. What waits for it is held until its owner sets its state to active, or cancelled, as its dialect has it.", EndpointNotice{}},
		{NoticeFailing, "endpointFailing", "All attempts of an endpoint fail",
			"It has got none of its deliveries for ten minutes, or for half of its disable_after where that is shorter, and three attempts at least. Where it has a disable_after, this is told once more when a quarter of that is left.", HealthNotice{}},
		{NoticeRecovered, "endpointRecovered", "An endpoint takes deliveries again",
			"It has taken one, after it was told of as failing.", HealthNotice{}},
		{NoticeFailed, "deliveryFailed", "A delivery has failed for good",
			"Its attempts are used up, or its receiver gave an answer after which none is made. The event is kept, and can be delivered again. Deliveries of operational events are not told of.", FailedNotice{}},
		{NoticeRotated, "secretRotated", "An endpoint has a new signing secret",
			"Requests are signed with both until the old one's time is over.", RotatedNotice{}},
		{NoticeRemoved, "endpointRemoved", "The server has removed an endpoint",
			"Its receiver gave an answer that, by the endpoint's dialect, ends the subscription. What waited for it ends as cancelled.", EndpointNotice{}},
		{NoticeRejected, "eventRejected", "An event that an application published in its database could not be taken",
			"It was published by grapnel.publish, in a transaction that is committed, and nothing of it is sent. It is kept as it was, in the list of rejected events.", RejectedNotice{}},
	}
}

// EndpointNotice is the data of a notice about an endpoint.
type EndpointNotice struct {
	Tenant   string    `json:"tenant" doc:"the tenant's id" example:"acme"`
	Endpoint string    `json:"endpoint" doc:"the endpoint's id" example:"ep_01JB2X3Y4Z"`
	URL      string    `json:"url" doc:"where its deliveries went" example:"https://example.com/hooks"`
	Reason   string    `json:"reason" doc:"why, in words" example:"answered 410: the endpoint is gone and was disabled"`
	At       time.Time `json:"at" doc:"since when"`
}

// RejectedNotice is the data of a notice about an event that was rejected.
type RejectedNotice struct {
	Tenant      string    `json:"tenant" doc:"the tenant's id" example:"acme"`
	ID          string    `json:"id" doc:"what grapnel.publish returned" example:"invoice-17-paid"`
	Type        string    `json:"type" doc:"the event's type" example:"invoice.paid"`
	Code        string    `json:"code" doc:"what kind of thing is wrong with it" example:"invalid"`
	Reason      string    `json:"reason" doc:"what is wrong with it, and what to do" example:"/data: not valid JSON at byte 8: duplicate object member name"`
	PublishedAt time.Time `json:"published_at" doc:"when it was published"`
	At          time.Time `json:"at" doc:"when it was rejected"`
}

// TellRejected tells the tenant of an event that an application has put into the
// database and that could not be taken, if one of its endpoints wants to know. It may be
// called again of the same one.
func (m *Manager) TellRejected(ctx context.Context, r *store.Rejected) error {
	if m.Tell == nil || r.TenantID == "" {
		return nil
	}
	data, err := json.Marshal(RejectedNotice{Tenant: r.TenantID, ID: r.Key, Type: r.Type, Code: string(r.Code), Reason: r.Reason, PublishedAt: r.At.UTC(), At: r.RejectedAt.UTC()})
	if err != nil {
		return fmt.Errorf("tell of a rejected event: %w", err)
	}
	key := NoticeRejected + "/" + strconv.FormatInt(r.N, 10) + "/" + strconv.FormatInt(r.RejectedAt.UnixMilli(), 10)
	return m.tellAll(ctx, Notice{Key: key, Tenant: r.TenantID, Type: NoticeRejected, Time: r.RejectedAt, Data: data})
}

// told are the notices that need not be told again by this process, by their
// keys, with their times.
type told struct {
	mu   sync.Mutex
	keys map[string]time.Time
}

func (t *told) add(key string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys == nil {
		t.keys = map[string]time.Time{}
	}
	t.keys[key] = at
}

func (t *told) has(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.keys[key]
	return ok
}

// forget drops what nobody asks for any more.
func (t *told) forget(until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.keys, func(_ string, at time.Time) bool { return !at.After(until) })
}

// tellOf tells the tenant of what has become of its endpoint, if one of its
// endpoints wants to know. A failure is logged: what the notice is about has
// been stored, and TellAgain tries again.
func (m *Manager) tellOf(ctx context.Context, noticeType string, e *hook.Endpoint) {
	if m.Tell == nil {
		return
	}
	key := noticeType + "/" + e.ID + "/" + strconv.FormatInt(e.StateAt.UnixMilli(), 10)
	if m.told.has(key) {
		return
	}
	data, err := json.Marshal(EndpointNotice{Tenant: e.Tenant, Endpoint: e.ID, URL: e.URL, Reason: e.StateReason, At: e.StateAt})
	if err == nil {
		err = m.tellAll(ctx, Notice{Key: key, Tenant: e.Tenant, Type: noticeType, Time: e.StateAt, Data: data})
	}
	if err != nil {
		m.Logger.Error("a tenant could not be told", "notice", noticeType, "endpoint_id", e.ID, "tenant_id", e.Tenant, "error", err)
		return
	}
	m.told.add(key, e.StateAt) // who subscribes later is not told of what was before
}

// tellAll tells a notice to its tenant and to the operators, so far as they have
// an endpoint for it.
func (m *Manager) tellAll(ctx context.Context, n Notice) error {
	tenants := m.Directory.Operators()
	if !slices.Contains(tenants, n.Tenant) {
		tenants = append(tenants, n.Tenant)
	}
	var failed error
	for _, tenant := range tenants {
		n.Tenant = tenant
		if m.wantsNotice(n.Tenant, n.Type) {
			failed = errors.Join(failed, m.Tell(ctx, n))
		}
	}
	return failed
}

// wantsNotice reports whether a tenant has an endpoint for a type of notice.
// Without one there is nobody to tell, and no event is stored.
func (m *Manager) wantsNotice(tenant, noticeType string) bool {
	wants := false
	if t, ok := m.Directory.Tenant(tenant); !ok || !m.Directory.Noticed(t.Num) {
		return false
	}
	m.Directory.Outlines(tenant, func(o *directory.Outline) {
		wants = wants || slices.Contains(o.EventTypes, noticeType)
	})
	return wants
}

// TellAgain tells of the endpoints that the server has disabled or removed since
// a time, unless this process has told of them. After a crash the process may
// have fallen between the change and the telling; a notice that did get through
// is recognised by its key while since is within the window for such keys.
func (m *Manager) TellAgain(ctx context.Context, since time.Time) {
	if m.Tell == nil {
		return
	}
	m.told.forget(since)
	for _, tenant := range m.Directory.TenantIDs() {
		for _, e := range m.disabled(tenant) {
			if e.StateAt.After(since) {
				m.tellOf(ctx, NoticeDisabled, e)
			}
		}
		for _, e := range m.Directory.DeletedEndpoints(tenant) {
			if e.StateReason != "" && e.StateAt.After(since) { // its owner would have given none
				m.tellOf(ctx, NoticeRemoved, e)
			}
		}
	}
}

// disabled are a tenant's endpoints in that state. There are few of them, so the
// others are not unpacked.
func (m *Manager) disabled(tenant string) (all []*hook.Endpoint) {
	var nums []hook.EndpointNum
	m.Directory.Outlines(tenant, func(o *directory.Outline) {
		if o.State == hook.EndpointDisabled {
			nums = append(nums, o.Num)
		}
	})
	for _, num := range nums {
		if e, ok := m.Directory.Endpoint(num); ok && e.State == hook.EndpointDisabled && !e.Deleted {
			all = append(all, e)
		}
	}
	return all
}
