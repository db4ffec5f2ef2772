package manage

import (
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// NoticeLost is the type of the events that tell an endpoint that the
// connection with its tenant's store is lost (A2-LOST1). They go to the
// endpoints of dialects that have such a notification, whatever these
// subscribe to.
const NoticeLost = hook.OperationalPrefix + "connection.lost"

// LostTries is how often endpoints are told of one loss (A2-LOST2).
const LostTries = 5

// lostWaits are the times between the notifications of a lost connection: each
// is longer than the one before (A2-LOST2).
var lostWaits = [LostTries - 1]time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour}

// lostGrace is from the last notification to the disabling of the endpoints,
// which would cancel what has not arrived yet.
const lostGrace = 2 * time.Minute

// The texts of a loss that came without them, and their bounds. The code is
// that of a store that cannot be reached (A2-M11).
const (
	lostCode       = 100
	lostReason     = "the connection with the store is lost"
	lostMessage    = "Restore the connection with the store. If it stays lost, this webhook will be disabled; webhook.update with active=1 activates it again."
	maxLostCode    = 999_999
	maxLostReason  = 200
	maxLostMessage = 1000
)

// Loss says what is known of a lost connection. What is zero is filled in.
type Loss struct {
	Code            int
	Reason, Message string
}

func (l *Loss) check() error {
	if l.Code < 0 || l.Code > maxLostCode {
		return hook.Invalid("/code", "is %d; it may be from 1 to %d", l.Code, maxLostCode)
	}
	if err := checkText("/reason", l.Reason, maxLostReason); err != nil {
		return err
	}
	return checkText("/message", l.Message, maxLostMessage)
}

// into puts the loss into a record.
func (l *Loss) into(c *hook.Connection) {
	c.Code, c.Reason, c.Message = l.Code, l.Reason, l.Message
	if c.Code == 0 {
		c.Code = lostCode
	}
	if c.Reason == "" {
		c.Reason = lostReason
	}
	if c.Message == "" {
		c.Message = lostMessage
	}
}

// LoseConnection notes that the connection with a tenant's store is lost. The
// tenant's active endpoints are told at once and then at growing intervals; when
// they have been told five times, they are disabled, unless RestoreConnection
// was called before. While that goes on, another loss only changes what is told
// from then on. Afterwards it begins anew, for endpoints that were activated
// again.
func (m *Manager) LoseConnection(ctx context.Context, tenant string, l Loss) (*hook.Tenant, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	err := m.changeTenant(ctx, "lose a connection", tenant, func(t *hook.Tenant, now time.Time) bool {
		c := hook.Connection{LostAt: now, NextAt: now}
		if t.Connection != nil && !t.Connection.NextAt.IsZero() {
			c = *t.Connection
		}
		if l.into(&c); t.Connection != nil && c == *t.Connection {
			return false
		}
		t.Connection = &c
		return true
	})
	if err != nil {
		return nil, err
	}
	t, err := m.tenant(tenant)
	if err != nil {
		return nil, err
	}
	m.tellLost(ctx, t, now())
	return m.tenant(tenant)
}

// RestoreConnection ends a loss. Endpoints that were disabled by it stay so
// until their owner activates them (A2-LOST3).
func (m *Manager) RestoreConnection(ctx context.Context, tenant string) (*hook.Tenant, error) {
	err := m.changeTenant(ctx, "restore a connection", tenant, func(t *hook.Tenant, _ time.Time) bool {
		lost := t.Connection != nil
		t.Connection = nil
		return lost
	})
	if err != nil {
		return nil, err
	}
	return m.tenant(tenant)
}

// changeTenant stores a changed copy of a tenant, if change says that there is
// something to store.
func (m *Manager) changeTenant(ctx context.Context, what, tenant string, change func(t *hook.Tenant, now time.Time) bool) error {
	return m.commit(ctx, what, func(now time.Time) (*store.Change, error) {
		old, err := m.tenant(tenant)
		if err != nil {
			return nil, err
		}
		t := *old
		if !change(&t, now) {
			return nil, nil
		}
		t.UpdatedAt = touched(old.UpdatedAt, now)
		return &store.Change{Tenants: []*hook.Tenant{&t}}, nil
	})
}

// TellLost tells the endpoints of every tenant whose lost connection is due to
// be told of again, and disables those that have been told often enough. It is
// to be called every minute or so. What a crash cuts off is done again by the
// next call; an endpoint that was told already is not told twice, for the event
// is known by its key.
func (m *Manager) TellLost(ctx context.Context, now time.Time) {
	for _, t := range m.Directory.LostConnections() {
		m.tellLost(ctx, t, now)
	}
}

// tellLost takes the next step of a tenant's loss, if it is due.
func (m *Manager) tellLost(ctx context.Context, t *hook.Tenant, now time.Time) {
	c := t.Connection
	if c == nil || c.NextAt.IsZero() || c.NextAt.After(now) {
		return
	}
	step := m.lostStep
	if c.Told == LostTries {
		step = m.endLoss
	}
	if err := step(ctx, t, now); err != nil {
		m.Logger.Error("the loss of a store's connection could not be told, or noted: it will be tried again", "tenant_id", t.ID, "told", c.Told, "error", err)
	}
}

// lostStep tells the endpoints once more.
func (m *Manager) lostStep(ctx context.Context, t *hook.Tenant, now time.Time) error {
	c := *t.Connection
	for _, e := range m.concerned(t) {
		if err := m.tellOfLoss(ctx, e, c); err != nil {
			return err
		}
	}
	return m.changeTenant(ctx, "tell of a lost connection", t.ID, func(t *hook.Tenant, _ time.Time) bool {
		if !sameStep(t.Connection, &c) {
			return false // restored meanwhile, or told by somebody else
		}
		told := *t.Connection
		told.Told++
		wait := lostGrace
		if told.Told < LostTries {
			wait = lostWaits[told.Told-1]
		}
		told.NextAt = now.Add(wait)
		t.Connection = &told
		return true
	})
}

// tellOfLoss sends one notification. Its key is that of the loss and of the
// try, so that a try that was cut off can be repeated as a whole.
func (m *Manager) tellOfLoss(ctx context.Context, e *hook.Endpoint, c hook.Connection) error {
	if m.Tell == nil {
		return nil
	}
	left := strconv.Itoa(LostTries - c.Told - 1)
	told := map[string]string{"error_code": strconv.Itoa(c.Code), "error_reason": c.Reason, "error_message": c.Message, "try_count": left}
	if id := e.Settings["store_id"]; id != "" {
		told["store_id"] = id
	}
	text, err := json.Marshal(told, json.Deterministic(true))
	if err != nil {
		return err
	}
	key := NoticeLost + "/" + e.ID + "/" + strconv.FormatInt(c.LostAt.UnixMilli(), 10) + "/" + left
	err = m.Tell(ctx, Notice{Key: key, Tenant: e.Tenant, Type: NoticeLost, Time: c.NextAt, Data: text, Metadata: text, Only: e})
	if hook.CodeOf(err) == hook.CodeMismatch {
		return nil // it was told this time, in other words
	}
	return err
}

// endLoss disables the endpoints that have been told often enough, all in one
// change, and tells the tenant of each.
func (m *Manager) endLoss(ctx context.Context, t *hook.Tenant, _ time.Time) error {
	c := *t.Connection
	var disabled []*hook.Endpoint
	err := m.commit(ctx, "disable endpoints of a lost connection", func(now time.Time) (*store.Change, error) {
		old, err := m.tenant(t.ID)
		if err != nil || !sameStep(old.Connection, &c) {
			return nil, err
		}
		over := *old.Connection
		over.NextAt = time.Time{}
		changed := *old
		changed.Connection, changed.UpdatedAt = &over, touched(old.UpdatedAt, now)
		disabled = nil
		for _, e := range m.concerned(old) {
			e := *e
			e.State, e.StateAt, e.UpdatedAt = hook.EndpointDisabled, touched(e.StateAt, now), touched(e.UpdatedAt, now)
			e.StateReason = "the connection with the store is lost (" + c.Reason + "), and the endpoint was told of it " + strconv.Itoa(c.Told) + " times"
			disabled = append(disabled, &e)
		}
		return &store.Change{Tenants: []*hook.Tenant{&changed}, Endpoints: disabled}, nil
	})
	if err != nil {
		return err
	}
	for _, e := range disabled {
		m.Logger.Info("endpoint disabled", "endpoint_id", e.ID, "tenant_id", e.Tenant, "reason", e.StateReason)
		m.tellOf(ctx, NoticeDisabled, e)
	}
	return nil
}

// sameStep reports whether a loss is still where it was.
func sameStep(now, then *hook.Connection) bool {
	return now != nil && now.LostAt.Equal(then.LostAt) && now.Told == then.Told && now.NextAt.Equal(then.NextAt)
}

// Concerned is how many of a tenant's endpoints are told of a lost connection.
func (m *Manager) Concerned(t *hook.Tenant) int { return len(m.concerned(t)) }

// concerned are the tenant's endpoints that are told of a lost connection: the
// active ones whose dialect has a notification for it. One that is made or
// activated while the connection is lost joins the others at the next try.
func (m *Manager) concerned(t *hook.Tenant) (out []*hook.Endpoint) {
	for _, e := range m.Directory.Endpoints(t.ID) {
		if d, ok := m.Dialects.Get(e.Dialect); ok && e.Active() && d.EmptyBodyFor(NoticeLost) {
			out = append(out, e)
		}
	}
	return out
}
