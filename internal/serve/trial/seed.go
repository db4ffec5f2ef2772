package trial

import (
	"context"

	"grapnel/client"
	"grapnel/internal/dialect"
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
	in := client.TenantInput{Name: client.Set("Demo customer"), Dialect: client.Set(t.Dialect)}
	if t.Dialect != standard {
		t.nameVendor()
	}
	if t.dialect.SecretOwner() == dialect.SecretTenant {
		t.secret = t.state.Secret
		in.Secret = client.Set(t.secret)
	}
	if _, err := t.api.PutTenant(ctx, Tenant, in); err != nil {
		return err
	}
	if t.Dialect != standard {
		key := []client.ImportRecord{{Kind: client.KindKey, Tenant: Tenant, Key: t.state.VendorKey}}
		if _, err := t.api.Import(ctx, key); err != nil {
			return err
		}
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
	for i, c := range customers {
		if err := t.seedEndpoint(ctx, c.name, c.name+": "+c.about, t.types(i), have); err != nil {
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
	for _, e := range Samples(t.dialect) {
		r, err := t.api.Publish(ctx, Tenant, e)
		if err != nil {
			return err
		}
		t.watch.types(r.ID, e.Type)
		t.emit(Event{Event: Published, EventID: r.ID, Type: e.Type, Matched: r.Matched})
	}
	return nil
}

func (t *trial) seedEndpoint(ctx context.Context, name, about string, types []string, have map[string]*client.Endpoint) error {
	url := t.url(name)
	if e := have[t.state.Endpoints[name].ID]; e != nil && e.Dialect != t.Dialect {
		if _, err := t.api.DeleteEndpoint(ctx, Tenant, e.ID); err != nil {
			return err
		}
	} else if e != nil {
		if e.URL == url {
			return nil
		}
		_, err := t.api.UpdateEndpoint(ctx, Tenant, e.ID, client.EndpointInput{URL: client.Set(url)})
		return err
	}
	in := client.EndpointInput{URL: client.Set(url), EventTypes: client.Set(types), Description: client.Set(about)}
	if t.dialect.SecretOwner() == dialect.SecretEndpointOptional { // so that there is something to verify
		in.Secret = client.Set(t.state.Secret)
	}
	e, err := t.api.CreateEndpoint(ctx, Tenant, in)
	if err != nil {
		return err
	}
	secret := e.Secret
	if t.dialect.SecretOwner() == dialect.SecretTenant {
		secret = t.secret
	}
	t.state.Endpoints[name] = endpoint{ID: e.ID, Secret: secret, Dialect: e.Dialect}
	if secret == "" {
		return nil // the contract does not sign
	}
	return t.inboxes[name].SetSecrets([]hook.Secret{hook.Secret(secret)})
}
