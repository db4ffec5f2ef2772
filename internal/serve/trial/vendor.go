package trial

import (
	"crypto/rand"
	"fmt"
	"strings"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
)

// standard is the dialect of a trial that names none.
const standard = "standard"

// dialectOf finds a dialect that is built in.
func dialectOf(name string) (*dialect.Dialect, error) {
	registry, err := serve.Dialects()
	if err != nil {
		return nil, err
	}
	d, ok := registry.Get(name)
	if !ok {
		return nil, hook.Errorf(hook.CodeInvalid, "there is no dialect %q", hook.Clip(name))
	}
	return d, nil
}

// nameVendor makes the key and the secret of a vendor's account.
func (t *trial) nameVendor() {
	if t.state.VendorKey == "" {
		t.state.VendorKey = "dev_" + rand.Text()
	}
	if t.state.Secret == "" {
		t.state.Secret = "dev_secret_" + rand.Text()
	}
}

// types are what the nth customer subscribes to.
func (t *trial) types(n int) []string {
	all := Samples(t.dialect)
	switch {
	case t.Dialect == standard:
		return customers[n].types
	case t.dialect.Subscription() == dialect.AllTypes:
		return nil
	case t.dialect.Subscription() == dialect.AnyTypes && n == 0:
		return nil
	}
	return []string{all[min(n, len(all)-1)].Type}
}

// samples are what a person can publish.
func (t *trial) samples() []string {
	if t.Dialect == standard {
		return nil
	}
	e := Samples(t.dialect)[0]
	text := fmt.Sprintf(`{"type":%q,"data":%s`, e.Type, e.Data)
	if e.Metadata != nil {
		text += `,"metadata":` + string(e.Metadata)
	}
	return []string{text + "}", e.Type + " -d '" + string(e.Data) + "'"}
}

// vendorCalls are calls of the vendors' own management APIs, as commands for a
// shell, by dialect family.
var vendorCalls = map[string][]string{
	"customers1st": {
		"curl -s {url}/api/hooks -H 'authorization: Bearer {key}'",
		"curl -s {url}/api/hooks -H 'authorization: Bearer {key}' -H 'content-type: application/json' -d '{\"event\":\"customer.created\",\"url\":\"{receiver}\"}'",
		"curl -s {url}/api/hooks/log -H 'authorization: Bearer {key}'",
	},
	"propstack": {
		"curl -s {url}/v1/hooks -H 'X-API-KEY: {key}'",
		"curl -s -X POST '{url}/v1/hooks?event=client_created&target_url={receiver}' -H 'X-API-KEY: {key}'",
	},
	"smake": {
		"curl -s {url}/v2/apps/{tenant}/webhooks -H 'authorization: Bearer {key}'",
		"curl -s {url}/v2/apps/{tenant}/webhooks -H 'authorization: Bearer {key}' -H 'content-type: application/json' -d '{\"url\":\"{receiver}\",\"event_types\":[{\"name\":\"order.shipped\"}]}'",
	},
	"sixpark": {
		"curl -s {url}/api/v1/webhooks -H 'authorization: Bearer {key}' -H 'accept: application/json' -d description=Mine -d url={receiver}",
	},
	"api2cart": {
		"curl -s '{url}/v1.1/webhook.list.json?api_key={key}&store_key={secret}'",
		"curl -s -X POST '{url}/v1.1/webhook.create.json?api_key={key}&store_key={secret}&entity=product&action=add&callback={receiver}'",
	},
}

// calls are those of the trial's vendor.
func (t *trial) calls() []string {
	fill := strings.NewReplacer("{url}", t.server.URL(), "{key}", t.state.VendorKey, "{secret}", t.secret, "{tenant}", Tenant, "{receiver}", t.url("ok"))
	var out []string
	for _, call := range vendorCalls[t.dialect.Family()] {
		out = append(out, fill.Replace(call))
	}
	return out
}
