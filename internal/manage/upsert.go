package manage

import (
	"context"
	"crypto/subtle"
	"strings"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// endpointPrefix begins the ids that we make for endpoints. No caller's own id
// begins so.
const endpointPrefix = "ep_"

// EndpointResult is an endpoint as it is now. Secret is that which signs for
// it if it was made just now: it is not shown again.
type EndpointResult struct {
	Endpoint *hook.Endpoint
	Created  bool
	Secret   hook.Secret
}

// PutEndpoint changes the endpoint with an id, or creates it under that id,
// which then is the caller's own. A secret that is given for an endpoint that
// exists must be the one that it has, so that the same input can be put again.
func (m *Manager) PutEndpoint(ctx context.Context, tenant, id string, in EndpointInput) (EndpointResult, error) {
	if err := m.checkTransform(ctx, tenant, in.Transform); err != nil {
		return EndpointResult{}, err
	}
	var r EndpointResult
	var was hook.EndpointState
	err := m.commitOr(ctx, in.Terms.DryRun, "put an endpoint", func(now time.Time) (*store.Change, error) {
		t, err := m.tenant(tenant)
		if err != nil {
			return nil, err
		}
		old, exists := m.Directory.EndpointByID(tenant, id)
		if err := in.Terms.check(old); err != nil {
			return nil, err
		}
		r = EndpointResult{Created: !exists}
		if exists {
			was = old.State
			r.Endpoint, err = m.putOver(old, in, now)
		} else if err = checkOwnID(id); err == nil {
			r.Endpoint, r.Secret, err = m.newEndpoint(t, id, in, now)
		}
		if err != nil {
			return nil, err
		}
		return &store.Change{Endpoints: []*hook.Endpoint{r.Endpoint}}, nil
	})
	switch {
	case err != nil:
		return EndpointResult{}, err
	case in.Terms.DryRun:
	case r.Created:
		m.endpointCreated(r.Endpoint)
	default:
		m.endpointChanged(r.Endpoint, was)
	}
	return r, nil
}

func (m *Manager) putOver(old *hook.Endpoint, in EndpointInput, now time.Time) (*hook.Endpoint, error) {
	if in.Secret != nil && !m.isSecretOf(old, *in.Secret) {
		return nil, hook.Invalid("/secret", "is not the one that the endpoint has: change it by POST .../secret/rotate, or leave it out")
	}
	e := *old
	e.UpdatedAt = touched(old.UpdatedAt, now)
	return &e, m.refill(&e, in, now)
}

// isSecretOf reports whether a secret is the newest one of an endpoint.
func (m *Manager) isSecretOf(e *hook.Endpoint, given hook.Secret) bool {
	if len(e.Secrets) == 0 {
		return false
	}
	has, err := m.Ring.Open(e.Secrets[0].Sealed, e.Tenant, e.ID)
	return err == nil && subtle.ConstantTimeCompare([]byte(has), []byte(given)) == 1
}

// checkOwnID checks a caller's own id for an endpoint that does not exist.
func checkOwnID(id string) error {
	if strings.HasPrefix(id, endpointPrefix) {
		return hook.Errorf(hook.CodeNotFound, "there is no endpoint %q. To create one under an id of your own, choose one that does not begin with %s", hook.Clip(id), endpointPrefix)
	}
	return hook.ValidEndpointID(id)
}
