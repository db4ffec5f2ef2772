package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"grapnel/client"
)

// tenantsCmd is about tenants.
type tenantsCmd struct {
	List   tenantsListCmd   `cmd:"" help:"List the tenants that the key covers."`
	Get    tenantsGetCmd    `cmd:"" help:"Show a tenant."`
	Create tenantsCreateCmd `cmd:"" help:"Create a tenant."`
	Update tenantsUpdateCmd `cmd:"" help:"Change a tenant."`
	Delete tenantsDeleteCmd `cmd:"" help:"Delete a tenant with its endpoints."`
	Purge  tenantsPurgeCmd  `cmd:"" help:"Delete a tenant, and take all that its events hold out of the store."`

	PortalLink     tenantsPortalLinkCmd     `cmd:"" help:"Make a portal link for a tenant's people."`
	EndPortalLinks tenantsEndPortalLinksCmd `cmd:"" help:"End all portal links of a tenant."`

	Connection tenantsConnectionCmd `cmd:"" help:"Say that the connection with a tenant's store is lost, or restored."`
}

// Help gives examples.
func (*tenantsCmd) Help() string {
	return `A tenant is one customer of yours: endpoints, events and deliveries belong to one.

Examples:

    grapnel tenants create hooli --name "Hooli Inc"
    grapnel tenants list`
}

var tenantView = view[client.Tenant]{
	header: []string{"TENANT", "NAME", "DIALECT", "CREATED"},
	cells: func(t *client.Tenant) []string {
		return []string{t.ID, t.Name, t.Dialect, when(&t.CreatedAt)}
	},
}

func (p *program) tenant(t *client.Tenant) error {
	if p.JSON {
		return p.object(t)
	}
	all := []field{
		{"tenant", t.ID}, {"number", fmt.Sprint(t.Number)}, {"name", t.Name}, {"dialect", t.Dialect}, {"api version", t.APIVersion},
		{"created", when(&t.CreatedAt)}, {"updated", when(&t.UpdatedAt)},
	}
	if t.Programs {
		all = append(all, field{"programs", "its own keys and portal links may write them"})
	}
	if t.Operator {
		all = append(all, field{"operator", "it is told what all tenants are told"})
	}
	if t.Quota != nil {
		all = append(all, quotaFields(t.Quota)...)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Settings)) {
		all = append(all, field{"setting " + name, t.Settings[name]})
	}
	if t.Connection != nil {
		all = append(all, lostFields(t.Connection)...)
	}
	if t.Secret != "" {
		all = append(all, field{"secret", t.Secret})
		p.note("the secret is shown this once: keep it")
	}
	return p.fields(all...)
}

func quotaFields(q *client.Quota) (all []field) {
	limit := func(name, text string, none bool) {
		if none {
			text = "no limit"
		}
		all = append(all, field{name, text})
	}
	if e := q.EventsPerSecond; e != nil {
		limit("events a second", fmt.Sprint(*e), *e == 0)
	}
	if n := q.Pending; n != nil {
		limit("most pending", fmt.Sprint(*n), *n == 0)
	}
	return all
}

type tenantsListCmd struct {
	remote
	limited
}

// Help gives examples.
func (*tenantsListCmd) Help() string {
	return `Examples:

    grapnel tenants list
    grapnel tenants list --limit 0 --json`
}

// Run lists.
func (c *tenantsListCmd) Run(p *program) error {
	return list(p, &c.remote, c.limited, tenantView, func(ctx context.Context, api *client.Client) iter.Seq2[*client.Tenant, error] {
		return api.Tenants(ctx)
	})
}

type tenantsGetCmd struct {
	ID string `arg:"" name:"tenant" help:"The tenant's id."`
	remote
}

// Help gives examples.
func (*tenantsGetCmd) Help() string {
	return `Examples:

    grapnel tenants get demo
    grapnel tenants get "$TENANT" --json`
}

// Run shows.
func (c *tenantsGetCmd) Run(p *program) error {
	return one(p, &c.remote, func(ctx context.Context, api *client.Client) (*client.Tenant, error) {
		return api.Tenant(ctx, c.ID)
	}, p.tenant)
}

// tenantFields is what can be set on a tenant.
type tenantFields struct {
	Name       *string           `placeholder:"TEXT" help:"A name for people."`
	Dialect    *string           `placeholder:"NAME" help:"The dialect of endpoints that name none."`
	APIVersion *string           `placeholder:"VERSION" help:"The version of your API that the tenant's events are shaped for."`
	Setting    map[string]string `placeholder:"NAME=TEXT" help:"A setting of the tenant's dialects; may be given several times, and replaces all that there are."`
	MaxEvents  *float64          `placeholder:"N" help:"Most events that the tenant may publish a second, over a while; 0 is no limit."`
	MaxPending *int64            `placeholder:"N" help:"Most deliveries of the tenant that may wait before its events are refused; 0 is no limit."`
	Programs   *bool             `negatable:"" help:"Let keys and portal links of the tenant's own write programs, such as an endpoint's --transform."`
	Operator   *bool             `negatable:"" help:"Tell it what all tenants are told: it is yours, and its endpoints subscribe to grapnel.* types by name."`
	SecretFile string            `placeholder:"FILE" help:"File that holds the tenant's secret, for dialects where the tenant has one; - for standard input."`
}

func (f *tenantFields) input(p *program, r *remote) (in client.TenantInput, err error) {
	in = client.TenantInput{Name: client.SetIf(f.Name), Dialect: client.SetIf(f.Dialect), APIVersion: client.SetIf(f.APIVersion), Programs: client.SetIf(f.Programs), Operator: client.SetIf(f.Operator)}
	if f.Setting != nil {
		in.Settings = client.Set(f.Setting)
	}
	if f.MaxEvents != nil && (math.IsNaN(*f.MaxEvents) || math.IsInf(*f.MaxEvents, 0)) {
		return in, fail(exitUsage, "write a number such as 100 or 0.5; 0 is no limit", "--max-events: %g is no number of events", *f.MaxEvents)
	}
	if f.MaxEvents != nil || f.MaxPending != nil {
		in.Quota = client.Set(client.QuotaInput{EventsPerSecond: client.SetIf(f.MaxEvents), Pending: client.SetIf(f.MaxPending)})
	}
	in.Secret, err = p.secretField(f.SecretFile, r)
	return in, err
}

// secretField reads a secret for an input. "" is none.
func (p *program) secretField(file string, r *remote) (client.Field[string], error) {
	if file == "" {
		return client.Field[string]{}, nil
	}
	if file == "-" && r.KeyFile == "-" {
		return client.Field[string]{}, fail(exitUsage, "name a file for one of them", "--secret-file and --key-file cannot both be standard input")
	}
	s, err := readSecret(file, p.stdin)
	return client.Set(string(s)), err
}

type tenantsCreateCmd struct {
	ID string `arg:"" name:"tenant" help:"The id that the tenant gets."`
	tenantFields
	rehearsed
	remote
}

// Help gives examples.
func (*tenantsCreateCmd) Help() string {
	return `Examples:

    grapnel tenants create globex --name "Globex Corporation"
    grapnel tenants create initech --dry-run --json`
}

// Run creates.
func (c *tenantsCreateCmd) Run(p *program) error {
	return putTenant(p, &c.remote, c.ID, &c.tenantFields, append(c.options(), client.IfAbsent()),
		fail(exitConflict, "grapnel tenants update changes it", "there is a tenant %q already", c.ID))
}

type tenantsUpdateCmd struct {
	ID string `arg:"" name:"tenant" help:"The tenant's id."`
	tenantFields
	Unset []string `enum:"name,dialect,api-version,settings,quota" placeholder:"FIELD" help:"Set a field back to its default: name, dialect, api-version, settings or quota."`
	rehearsed
	remote
}

// Help gives examples.
func (*tenantsUpdateCmd) Help() string {
	return `What is not given stays as it is.

Examples:

    grapnel tenants update demo --name "Demo Ltd" --setting region=eu
    grapnel tenants update demo --max-events 100 --max-pending 100000
    grapnel tenants update demo --unset settings --dry-run`
}

// Run changes.
func (c *tenantsUpdateCmd) Run(p *program) error {
	return putTenant(p, &c.remote, c.ID, &c.tenantFields, append(c.options(), client.IfExists()),
		fail(exitNotFound, "grapnel tenants list shows those that the key covers, grapnel tenants create makes one", "there is no tenant %q", c.ID), c.Unset...)
}

// putTenant creates or changes a tenant. refused is the error for a condition
// that does not hold.
func putTenant(p *program, r *remote, id string, f *tenantFields, options []client.Option, refused error, unset ...string) error {
	in, err := f.input(p, r)
	if err != nil {
		return err
	}
	for _, name := range unset {
		switch name {
		case "name":
			in.Name = client.Null[string]()
		case "dialect":
			in.Dialect = client.Null[string]()
		case "api-version":
			in.APIVersion = client.Null[string]()
		case "settings":
			in.Settings = client.Null[map[string]string]()
		case "quota":
			in.Quota = client.Null[client.QuotaInput]()
		}
	}
	api, err := r.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	t, err := api.PutTenant(ctx, id, in, options...)
	if client.CodeOf(err) == client.CodePrecondition {
		return refused
	}
	if err != nil {
		return err
	}
	p.dryNote(t.Meta)
	return p.tenant(t)
}

// dryNote says that nothing was changed, if so.
func (p *program) dryNote(m client.Meta) {
	if m.DryRun {
		p.note("nothing was changed: this is how it would be")
	}
}

type tenantsDeleteCmd struct {
	ID string `arg:"" name:"tenant" help:"The tenant's id."`
	destructive
	remote
}

// Help gives examples.
func (*tenantsDeleteCmd) Help() string {
	return `The tenant's endpoints go with it; what waits for them is cancelled. Its events stay in the
log for their time, and nobody can ask for them any more.

Examples:

    grapnel tenants delete demo --dry-run
    grapnel tenants create passing && grapnel tenants delete passing --yes`
}

// Run deletes.
func (c *tenantsDeleteCmd) Run(p *program) error {
	api, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	return c.remove(p, c.ID, "the tenant "+c.ID+" with its endpoints", func(options ...client.Option) (*client.Removal, error) {
		return api.DeleteTenant(ctx, c.ID, options...)
	})
}

// removal says in words what would go.
func removal(r *client.Removal) string {
	var parts []string
	for _, k := range []struct {
		n    int
		what string
	}{{r.Tenants, "tenant"}, {r.Endpoints, "endpoint"}, {r.EventTypes, "event type"}, {r.Keys, "key"}} {
		if k.n > 0 {
			parts = append(parts, count(int64(k.n), k.what))
		}
	}
	if len(parts) == 0 {
		return "nothing else"
	}
	return strings.Join(parts, ", ")
}

// count is a number of things in words.
func count(n int64, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "ry"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}
