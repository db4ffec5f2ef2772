package trial

import (
	"context"

	"grapnel/client"
	"grapnel/internal/hook"
	"grapnel/internal/inbox"
)

// customers are the receivers that a trial has: one for each thing that an
// endpoint can do.
var customers = []struct {
	name  string
	about string
	types []string
	reply inbox.Reply
}{
	{"ok", "answers at once", nil, inbox.Reply{}},
	{"flaky", "fails half of the time", []string{"invoice.*"}, inbox.Reply{FailFirst: 1, FailRate: .5}},
	{"slow", "takes 8 seconds", []string{"report.*"}, inbox.Reply{DelayMS: 8000}},
}

// seed makes the tenant and its endpoints, those of an earlier trial in the
// same folder kept: all through the public API.
func (t *trial) seed(ctx context.Context) error {
	if _, err := t.api.PutTenant(ctx, Tenant, client.TenantInput{Name: client.Set("Demo customer")}); err != nil {
		return err
	}
	if t.Empty {
		return nil
	}
	have := map[string]*client.Endpoint{}
	for e, err := range t.api.Endpoints(ctx, Tenant) {
		if err != nil {
			return err
		}
		have[e.ID] = e
	}
	for _, c := range customers {
		if err := t.seedEndpoint(ctx, c.name, c.name+": "+c.about, c.types, have); err != nil {
			return err
		}
	}
	t.watch.names(t.state)
	t.state.Receiver = t.address
	return t.state.save(t.dir)
}

// publish sends the samples.
func (t *trial) publish(ctx context.Context) error {
	if t.Empty {
		return nil
	}
	for _, e := range samples {
		r, err := t.api.Publish(ctx, Tenant, e)
		if err != nil {
			return err
		}
		t.emit(Event{Event: Published, EventID: r.ID, Type: e.Type, Matched: r.Matched})
	}
	return nil
}

func (t *trial) seedEndpoint(ctx context.Context, name, about string, types []string, have map[string]*client.Endpoint) error {
	url := t.url(name)
	if e := have[t.state.Endpoints[name].ID]; e != nil {
		if e.URL == url {
			return nil
		}
		_, err := t.api.UpdateEndpoint(ctx, Tenant, e.ID, client.EndpointInput{URL: client.Set(url)})
		return err
	}
	e, err := t.api.CreateEndpoint(ctx, Tenant, client.EndpointInput{URL: client.Set(url), EventTypes: client.Set(types), Description: client.Set(about)})
	if err != nil {
		return err
	}
	t.state.Endpoints[name] = endpoint{ID: e.ID, Secret: e.Secret}
	return t.inboxes[name].SetSecrets([]hook.Secret{hook.Secret(e.Secret)})
}
