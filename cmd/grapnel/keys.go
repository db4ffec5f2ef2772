package main

import (
	"context"
	"iter"
	"strings"

	"grapnel/client"
)

// keysCmd is about API keys.
type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the API keys, without the keys themselves."`
	Get    keysGetCmd    `cmd:"" help:"Show what is known of an API key."`
	Create keysCreateCmd `cmd:"" help:"Create an API key, or take over one that you have."`
	Revoke keysRevokeCmd `cmd:"" help:"End an API key."`
}

// Help gives examples.
func (*keysCmd) Help() string {
	return `A key may publish, read, manage (and read) or do everything (admin), for some tenants or all.

Examples:

    grapnel keys create --scope publish --tenants demo
    grapnel keys list`
}

var keyView = view[client.Key]{
	header: []string{"KEY", "BEGINS", "SCOPES", "TENANTS", "CREATED", "EXPIRES", "LAST USED"},
	cells: func(k *client.Key) []string {
		return []string{k.ID, k.Hint, strings.Join(k.Scopes, " "), tenantsOf(k), when(&k.CreatedAt), when(k.ExpiresAt), when(k.LastUsedAt)}
	},
}

func tenantsOf(k *client.Key) string {
	if len(k.Tenants) == 0 {
		return "all"
	}
	return strings.Join(k.Tenants, " ")
}

func (p *program) key(k *client.Key) error {
	if p.JSON {
		return p.object(k)
	}
	expires := "never"
	if k.ExpiresAt != nil {
		expires = when(k.ExpiresAt)
	}
	all := []field{{"id", k.ID}, {"begins", k.Hint}, {"scopes", strings.Join(k.Scopes, " ")}, {"tenants", tenantsOf(k)}, {"created", when(&k.CreatedAt)}, {"expires", expires}, {"last used", when(k.LastUsedAt)}}
	if k.Key != "" {
		all = append(all, field{"key", k.Key})
		p.note("the key is shown this once: keep it")
	}
	return p.fields(all...)
}

type keysListCmd struct {
	remote
	limited
}

// Help gives examples.
func (*keysListCmd) Help() string {
	return `Examples:

    grapnel keys list
    grapnel keys list --limit 0 --json`
}

// Run lists.
func (c *keysListCmd) Run(p *program) error {
	return list(p, &c.remote, c.limited, keyView, func(ctx context.Context, api *client.Client) iter.Seq2[*client.Key, error] {
		return api.Keys(ctx)
	})
}

type keysGetCmd struct {
	ID string `arg:"" name:"key" help:"The key's id, not the key."`
	remote
}

// Help gives examples.
func (*keysGetCmd) Help() string {
	return `Examples:

    grapnel keys get "$(grapnel keys list --limit 1 --json --quiet | sed 's/.*"id":"\([^"]*\)".*/\1/')"
    grapnel keys get "$(grapnel keys list --limit 1 --json --quiet | sed 's/.*"id":"\([^"]*\)".*/\1/')" --json`
}

// Run shows.
func (c *keysGetCmd) Run(p *program) error {
	return one(p, &c.remote, func(ctx context.Context, api *client.Client) (*client.Key, error) {
		return api.Key(ctx, c.ID)
	}, p.key)
}

type keysCreateCmd struct {
	Scope    []string `required:"" enum:"publish,read,manage,admin" placeholder:"SCOPES" help:"What it may do: publish, read, manage or admin; several separated by commas."`
	Tenants  []string `placeholder:"IDS" help:"Tenants that it covers, separated by commas (default all)."`
	Expires  future   `placeholder:"TIME" help:"When it ends: a time, or a span from now such as 90d (default never)."`
	TakeOver string   `placeholder:"FILE" help:"File that holds a key of your own to use, - for standard input (default one that the server makes)."`
	remote
}

// Help gives examples.
func (*keysCreateCmd) Help() string {
	return `The key is shown this once.

Examples:

    grapnel keys create --scope publish --tenants demo --expires 90d
    grapnel keys create --scope read,manage --json`
}

// Run creates.
func (c *keysCreateCmd) Run(p *program) error {
	in := client.KeyInput{Tenants: c.Tenants, Scopes: c.Scope, ExpiresAt: pointer(c.Expires.Time)}
	if c.TakeOver != "" {
		if c.TakeOver == "-" && c.KeyFile == "-" {
			return fail(exitUsage, "name a file for one of them", "--take-over and --key-file cannot both be standard input")
		}
		key, err := readSecret(c.TakeOver, p.stdin)
		if err != nil {
			return err
		}
		in.Key = string(key)
	}
	return one(p, &c.remote, func(ctx context.Context, api *client.Client) (*client.Key, error) {
		return api.CreateKey(ctx, in)
	}, p.key)
}

type keysRevokeCmd struct {
	ID string `arg:"" name:"key" help:"The key's id, not the key."`
	destructive
	remote
}

// Help gives examples.
func (*keysRevokeCmd) Help() string {
	return `Examples:

    grapnel keys revoke "$(grapnel keys create --scope read --json | sed 's/.*"id":"\([^"]*\)".*/\1/')" --yes
    grapnel keys revoke "$(grapnel keys create --scope read --json | sed 's/.*"id":"\([^"]*\)".*/\1/')" --dry-run`
}

// Run revokes.
func (c *keysRevokeCmd) Run(p *program) error {
	api, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	return c.remove(p, c.ID, "the key "+c.ID, func(options ...client.Option) (*client.Removal, error) {
		return api.RevokeKey(ctx, c.ID, options...)
	})
}
