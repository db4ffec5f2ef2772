package main

import (
	"encoding/json"
	"strings"

	"grapnel/client"
	"grapnel/internal/config"
)

// endpointFields is what can be set on an endpoint beside its URL.
type endpointFields struct {
	Type         []string          `placeholder:"NAME" help:"An event type that it gets, or prefix.* for all that begin so; may be given several times (default all)."`
	Description  *string           `placeholder:"TEXT" help:"What it is, for people."`
	Header       []string          `sep:"none" placeholder:"'NAME: VALUE'" help:"A header to send with each request; may be given several times, and replaces all that there are."`
	HeaderFile   string            `placeholder:"FILE" help:"File of such headers, one a line, for those that are credentials; - for standard input."`
	Filter       string            `placeholder:"JSON" help:"A condition that events must meet: JSON, @FILE, or - for standard input."`
	Transform    string            `placeholder:"JQ" help:"A program that makes body and headers of its requests: jq, @FILE, or - for standard input."`
	Schedule     []config.Duration `placeholder:"TIMES" help:"Waits between attempts, such as 5s,5m,1h."`
	NoRetries    bool              `help:"Make one attempt alone."`
	Timeout      *config.Duration  `placeholder:"TIME" help:"How long an attempt may take."`
	RateLimit    *float64          `placeholder:"N" help:"Most requests a second."`
	MaxInFlight  *int              `placeholder:"N" help:"Most requests at once."`
	Ordering     *string           `enum:"none,key,strict" placeholder:"KIND" help:"Which deliveries wait for each other: none, those of one ordering key (key), or all (strict)."`
	SkipAfter    *int              `placeholder:"N" help:"With an ordering: failed attempts after which a delivery fails, so that those behind it go on (default: they wait for it)."`
	DisableAfter *config.Duration  `placeholder:"TIME" help:"Disable it when all attempts have failed for so long, from 5s to 90d (default: never). Its tenant is warned before."`
	Fields       []string          `placeholder:"FIELD" help:"A part of the data that it gets, such as id or price.value, where the dialect lets it choose; may be given several times (default all)."`
	Setting      map[string]string `placeholder:"NAME=TEXT" help:"A setting of its dialect, such as store_id; may be given several times, and replaces all that there are. One that the dialect does not use is kept and does nothing."`
	authFields
}

func (f *endpointFields) input(p *program) (client.EndpointInput, error) {
	in := client.EndpointInput{Description: client.SetIf(f.Description), RateLimit: client.SetIf(f.RateLimit), MaxInFlight: client.SetIf(f.MaxInFlight)}
	in.Ordering, in.SkipAfter = client.SetIf(f.Ordering), client.SetIf(f.SkipAfter)
	if f.Type != nil {
		in.EventTypes = client.Set(f.Type)
	}
	if f.Fields != nil {
		in.Fields = client.Set(f.Fields)
	}
	if f.Setting != nil {
		in.Settings = client.Set(f.Setting)
	}
	if f.Timeout != nil {
		in.Timeout = client.Set(client.Duration(*f.Timeout))
	}
	if f.DisableAfter != nil {
		in.DisableAfter = client.Set(client.Duration(*f.DisableAfter))
	}
	switch {
	case f.NoRetries && f.Schedule != nil:
		return in, fail(exitUsage, "leave one of them out", "--no-retries and --schedule cannot both be")
	case f.NoRetries:
		in.Schedule = client.Set([]client.Duration{})
	case f.Schedule != nil:
		var waits []client.Duration
		for _, d := range f.Schedule {
			waits = append(waits, client.Duration(d))
		}
		in.Schedule = client.Set(waits)
	}
	if f.Filter != "" {
		filter, err := readJSON("filter", f.Filter, p.stdin)
		if err != nil {
			return in, err
		}
		in.Filter = client.Set(filter)
	}
	if f.Transform != "" {
		program, err := readProgram("transform", f.Transform, p.stdin)
		if err != nil {
			return in, err
		}
		in.Transform = client.Set(program)
	}
	headers, err := f.headers(p)
	if err != nil {
		return in, err
	}
	if headers != nil {
		in.Headers = client.Set(headers)
	}
	return in, f.fill(&in, p)
}

// headers reads the headers to send. Those that look like credentials must come
// from a file, for others on the machine can read the command line.
func (f *endpointFields) headers(p *program) (client.Headers, error) {
	var out client.Headers
	for _, line := range f.Header {
		h, err := headerOf(line)
		if err != nil {
			return nil, err
		}
		if credential(h.Name) {
			return nil, fail(exitUsage, "write the line into a file and name it with --header-file", "the header %s is a credential, and others could read it on the command line", h.Name)
		}
		out = append(out, h)
	}
	if f.HeaderFile == "" {
		return out, nil
	}
	text, err := readSecret(f.HeaderFile, p.stdin)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		h, err := headerOf(line)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

func headerOf(line string) (client.Header, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return client.Header{}, fail(exitUsage, "write 'NAME: VALUE'", "a header has no colon in it")
	}
	return client.Header{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)}, nil
}

// credential reports whether a header's value is one, by its name.
func credential(name string) bool {
	lower := strings.ToLower(name)
	for _, word := range []string{"authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "credential"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

type endpointsCreateCmd struct {
	To         string `arg:"" name:"url" help:"The URL to deliver to."`
	ID         string `placeholder:"ID" help:"An id of your own (default one that the server makes)."`
	Dialect    string `placeholder:"NAME" help:"The wire contract to speak (default the tenant's)."`
	VendorID   string `placeholder:"ID" help:"What the dialect's own API is to call it, for one that has been elsewhere; takes an admin key (default the next one)."`
	SecretFile string `placeholder:"FILE" help:"File that holds the signing secret, - for standard input (default one that the server makes)."`
	endpointFields
	rehearsed
	scoped
}

// Help gives examples.
func (*endpointsCreateCmd) Help() string {
	return `The signing secret is shown; grapnel endpoints secret reveal shows it again.
--auth and --tls-key take files, for what they hold is secret: docs/endpoint-authentication.md.

Examples:

    grapnel endpoints create https://example.com/hooks --type invoice.paid --type 'user.*'
    grapnel endpoints create https://example.com/big --id big-invoices --filter '{"field":"data.total","operator":"gt","value":1000}'
    grapnel endpoints create https://example.com/hooks --schedule 5s,1m,1h --timeout 10s --json`
}

// Run creates.
func (c *endpointsCreateCmd) Run(p *program) error {
	if c.DryRun && c.ID == "" {
		return fail(exitUsage, "give it one with --id", "--dry-run works for endpoints with an id of your own alone")
	}
	in, err := c.input(p)
	if err != nil {
		return err
	}
	in.URL = client.Set(c.To)
	if c.Dialect != "" {
		in.Dialect = client.Set(c.Dialect)
	}
	if c.VendorID != "" {
		in.VendorID = client.Set(c.VendorID)
	}
	if in.Secret, err = p.secretField(c.SecretFile, &c.remote); err != nil {
		return err
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	var e *client.Endpoint
	if c.ID == "" {
		e, err = api.CreateEndpoint(ctx, tenant, in)
	} else {
		e, err = api.PutEndpoint(ctx, tenant, c.ID, in, append(c.options(), client.IfAbsent())...)
	}
	if client.CodeOf(err) == client.CodePrecondition {
		return fail(exitConflict, "grapnel endpoints update changes it", "there is an endpoint %q already", c.ID)
	}
	if err != nil {
		return err
	}
	p.dryNote(e.Meta)
	return p.endpoint(e)
}

type endpointsUpdateCmd struct {
	oneEndpoint
	To    *string  `placeholder:"URL" help:"The URL to deliver to."`
	State *string  `enum:"active,paused" placeholder:"STATE" help:"Let it go on (active) or hold its deliveries (paused)."`
	Unset []string `enum:"type,description,header,auth,tls,filter,transform,schedule,timeout,rate-limit,max-in-flight,ordering,skip-after,disable-after,fields,settings" placeholder:"FIELD" help:"Set a field back to its default: type, description, header, auth, tls, filter, transform, schedule, timeout, rate-limit, max-in-flight, ordering, skip-after, disable-after, fields or settings."`
	endpointFields
	rehearsed
}

// Help gives examples.
func (*endpointsUpdateCmd) Help() string {
	return `What is not given stays as it is.

Examples:

    grapnel endpoints update "$ENDPOINT" --rate-limit 20 --description "Billing"
    grapnel endpoints update "$ENDPOINT" --type 'invoice.*' --unset rate-limit,timeout --dry-run`
}

// Run changes.
func (c *endpointsUpdateCmd) Run(p *program) error {
	in, err := c.input(p)
	if err != nil {
		return err
	}
	in.URL, in.State = client.SetIf(c.To), client.SetIf(c.State)
	for _, name := range c.Unset {
		unset(&in, name)
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	e, err := api.UpdateEndpoint(ctx, tenant, c.ID, in, c.options()...)
	if err != nil {
		return err
	}
	p.dryNote(e.Meta)
	return p.endpoint(e)
}

// unset sets a field back to its default.
func unset(in *client.EndpointInput, name string) {
	switch name {
	case "type":
		in.EventTypes = client.Null[[]string]()
	case "description":
		in.Description = client.Null[string]()
	case "header":
		in.Headers = client.Null[client.Headers]()
	case "auth":
		in.Auth = client.Null[client.EndpointAuth]()
	case "tls":
		in.TLS = client.Null[client.TLSInput]()
	case "filter":
		in.Filter = client.Null[json.RawMessage]()
	case "transform":
		in.Transform = client.Null[string]()
	case "schedule":
		in.Schedule = client.Null[[]client.Duration]()
	case "timeout":
		in.Timeout = client.Null[client.Duration]()
	case "rate-limit":
		in.RateLimit = client.Null[float64]()
	case "max-in-flight":
		in.MaxInFlight = client.Null[int]()
	case "ordering":
		in.Ordering = client.Null[string]()
	case "skip-after":
		in.SkipAfter = client.Null[int]()
	case "disable-after":
		in.DisableAfter = client.Null[client.Duration]()
	case "fields":
		in.Fields = client.Null[[]string]()
	case "settings":
		in.Settings = client.Null[map[string]string]()
	}
}
