package manage

import (
	"context"
	"errors"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// maxAttempts bounds the attempts of a delivery by redelivery. Its schedule then
// still fits below the 65,535 that a store can number.
const maxAttempts = 10_000

// Redeliver makes a delivery pending again, whatever became of it, and returns
// it as it is now. The caller tells dispatch.
func (m *Manager) Redeliver(ctx context.Context, tenant string, key hook.DeliveryKey) (*hook.Delivery, error) {
	t, err := m.tenant(tenant)
	if err != nil {
		return nil, err
	}
	d, err := m.Deliveries.Delivery(ctx, t.Num, key)
	if err != nil {
		return nil, deliveryError(key, err)
	}
	if d.Attempts >= maxAttempts {
		return nil, hook.Errorf(hook.CodeConflict, "this delivery has %d attempts already, and from %d on it is not sent again: publish the event anew", d.Attempts, maxAttempts)
	}
	if err := m.canSend(key.Endpoint); err != nil {
		return nil, err
	}
	action := Action{Name: "delivery.redeliver", Tenant: t, Object: key.String()}
	if err := m.Noted(ctx, action, func() error { return m.Deliveries.Redeliver(ctx, t.Num, key, now()) }); err != nil {
		return nil, deliveryError(key, err)
	}
	if d, err = m.Deliveries.Delivery(ctx, t.Num, key); err != nil {
		return nil, deliveryError(key, err)
	}
	if d.State == hook.Cancelled { // it was never to be sent: its event says so
		return nil, hook.Errorf(hook.CodeConflict, "this delivery is not to be sent: %s", d.Reason)
	}
	m.Logger.Info("redelivery asked for", "delivery_id", key.String(), "tenant_id", tenant)
	return d, nil
}

// canSend refuses what would be cancelled at once.
func (m *Manager) canSend(num hook.EndpointNum) error {
	e, ok := m.Directory.Endpoint(num)
	if !ok || e.Deleted {
		return hook.Errorf(hook.CodeConflict, "the endpoint of this delivery has been deleted")
	}
	if !e.Active() && !m.Holds(e) {
		return hook.Errorf(hook.CodeConflict, "the endpoint is %s: make it active first", e.State)
	}
	return nil
}

// Holds reports whether an endpoint's deliveries wait while it is inactive,
// rather than end.
func (m *Manager) Holds(e *hook.Endpoint) bool {
	d, ok := m.Dialects.Get(e.Dialect)
	return !ok || d.OnInactive() == dialect.Hold
}

func deliveryError(key hook.DeliveryKey, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return hook.Errorf(hook.CodeNotFound, "there is no delivery %q", key.String())
	}
	return storeError("redeliver", err)
}
