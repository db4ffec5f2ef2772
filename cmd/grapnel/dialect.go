package main

import (
	"errors"
	"fmt"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
	"grapnel/internal/serve/trial"
)

// dialectCmd is about wire contracts.
type dialectCmd struct {
	List  dialectListCmd  `cmd:"" help:"List the contracts that this program speaks."`
	Show  dialectShowCmd  `cmd:"" help:"Show a contract: its file, and what it says in words."`
	Check dialectCheckCmd `cmd:"" help:"Check the file of a contract of your own."`
	Sign  dialectSignCmd  `cmd:"" help:"Sign a body by a contract, and print the headers."`
}

// Help gives examples.
func (*dialectCmd) Help() string {
	return `A dialect is a wire contract: how an event looks as a request, how it is signed, what answers
mean, and when it is sent again. A contract of your own is a file in the folder dialects of a
server's data folder, which the server reads when it starts. Nothing here needs a server.

Examples:

    grapnel dialect list
    grapnel dialect show customers1st
    grapnel dialect check acme.yaml`
}

type dialectListCmd struct {
	Data string `placeholder:"DIR" help:"Also list those in the folder dialects of this data folder."`
}

// Help gives examples.
func (*dialectListCmd) Help() string {
	return `Examples:

    grapnel dialect list
    grapnel dialect list --data /var/lib/grapnel --json`
}

// dialectShape is a contract as --json tells of it.
type dialectShape struct {
	Name         string      `json:"name"`
	Title        string      `json:"title"`
	Subscription string      `json:"subscription"`
	Secret       string      `json:"secret"`
	Retries      string      `json:"retries"`
	Facts        []factShape `json:"facts,omitempty"`
	YAML         string      `json:"yaml,omitempty"`
}

type factShape struct {
	About string `json:"about"`
	Text  string `json:"text"`
}

func shapeDialect(d *dialect.Dialect) dialectShape {
	return dialectShape{Name: d.Name(), Title: d.Title(), Subscription: d.SubscriptionInWords(), Secret: d.SecretInWords(), Retries: d.RetryInWords()}
}

func shapeFacts(d *dialect.Dialect) (out []factShape) {
	for _, f := range d.Describe() {
		out = append(out, factShape{f.About, f.Text})
	}
	return out
}

// Run lists.
func (c *dialectListCmd) Run(p *program) error {
	read := serve.Dialects
	if c.Data != "" {
		read = func() (*dialect.Registry, error) { return serve.DialectsOf(c.Data) }
	}
	registry, err := read()
	if err != nil {
		return err
	}
	t := p.newTable("DIALECT", "TITLE", "AN ENDPOINT GETS", "SECRET", "RETRIES")
	for _, name := range registry.Names() {
		d, _ := registry.Get(name)
		s := shapeDialect(d)
		if p.JSON {
			err = p.line(s)
		} else {
			err = t.row(s.Name, s.Title, s.Subscription, s.Secret, s.Retries)
		}
		if err != nil {
			return err
		}
	}
	if p.JSON {
		return nil
	}
	return t.end()
}

type dialectShowCmd struct {
	Dialect string `arg:"" name:"dialect" help:"Its name, or its file."`
	YAML    bool   `name:"yaml" help:"Print the file alone, to begin one of your own from."`
}

// Help gives examples.
func (*dialectShowCmd) Help() string {
	return `Examples:

    grapnel dialect show standard
    grapnel dialect show propstack --yaml > acme.yaml
    grapnel dialect show sixpark --json`
}

// Run shows.
func (c *dialectShowCmd) Run(p *program) error {
	d, err := dialectAs("DIALECT", c.Dialect)
	if err != nil {
		return err
	}
	switch {
	case c.YAML && !p.JSON:
		return p.printf("%s", d.Source())
	case p.JSON:
		s := shapeDialect(d)
		s.Facts, s.YAML = shapeFacts(d), d.Source()
		return p.object(s)
	}
	if err := p.facts(d); err != nil {
		return err
	}
	if err := p.section("Its file"); err != nil {
		return err
	}
	return p.printf("\n%s", d.Source())
}

// facts tells a contract in words.
func (p *program) facts(d *dialect.Dialect) error {
	all := []field{{"dialect", d.Name()}, {"title", d.Title()}}
	for _, f := range d.Describe() {
		all = append(all, field{f.About, f.Text})
	}
	return p.fields(all...)
}

type dialectCheckCmd struct {
	File     string `arg:"" placeholder:"FILE" help:"The file, which ends in .yaml."`
	Data     string `placeholder:"JSON" help:"The data of the event that is shown: JSON, or @FILE (default: the file's sample, or one of ours)."`
	Metadata string `placeholder:"JSON" help:"The metadata of the event that is shown: JSON, or @FILE."`
}

// Help gives examples.
func (*dialectCheckCmd) Help() string {
	return `Reads the file as a server does: what is unknown, impossible or does nothing is an error, with
its line, and exit code 6. Then it says in words what the contract does, and shows an event as it
would be sent, signed with a secret made for the occasion. Settings that the body names are 1 there.
Where the body needs what our own sample lacks, a note says so: give --data and --metadata, or write
a sample into the file.

Examples:

    grapnel dialect check acme.yaml
    grapnel dialect check acme.yaml --data '{"account":{"id":"7"}}' --metadata '{"store_id":"1"}'
    grapnel dialect check acme.yaml --json`
}

// checkedShape is what --json prints.
type checkedShape struct {
	File   string       `json:"file"`
	OK     bool         `json:"ok"`
	Line   int          `json:"line,omitempty"`
	Reason string       `json:"reason,omitempty"`
	Name   string       `json:"name,omitempty"`
	Title  string       `json:"title,omitempty"`
	Facts  []factShape  `json:"facts,omitempty"`
	Secret string       `json:"secret,omitempty"` // that the example is signed with
	Sample *signedShape `json:"sample,omitempty"`
	Lacks  string       `json:"lacks,omitempty"` // why there is no sample
}

// Run checks.
func (c *dialectCheckCmd) Run(p *program) error {
	d, err := dialectFile(c.File)
	if err != nil {
		var wrong *dialect.LoadError
		if p.JSON && errors.As(err, &wrong) {
			if told := p.object(checkedShape{File: c.File, Line: wrong.Line, Reason: wrong.Reason}); told != nil {
				return told
			}
		}
		return err
	}
	out := checkedShape{File: c.File, OK: true, Name: d.Name(), Title: d.Title()}
	registry, err := serve.Dialects()
	if err != nil {
		return err
	}
	if _, taken := registry.Get(d.Name()); taken {
		reason := fmt.Sprintf("a dialect %s is built in, and a server refuses another one of this name", d.Name())
		if p.JSON {
			if err := p.object(checkedShape{File: c.File, Name: d.Name(), Reason: reason}); err != nil {
				return err
			}
		}
		return fail(exitInvalid, "give yours a name of its own", "%s: %s", c.File, reason)
	}
	data, metadata, err := c.event()
	if err != nil {
		return err
	}
	sample, secret, body, err := example(d, data, metadata)
	switch {
	case err == nil:
	case data != nil || metadata != nil:
		if p.JSON {
			if told := p.object(checkedShape{File: c.File, Name: d.Name(), Reason: err.Error()}); told != nil {
				return told
			}
		}
		return fail(exitInvalid, "correct --data and --metadata, or request.body", "%s: the event cannot be sent: %w", c.File, err)
	default: // the file is good, it wants other data than that of our samples
		out.Lacks = err.Error()
		p.note("note: there is no event to show: %s; give --data and --metadata, or write a sample into the file", out.Lacks)
	}
	if p.JSON {
		out.Facts, out.Sample, out.Secret = shapeFacts(d), sample, string(secret)
		if sample != nil {
			out.Sample.Body = string(body)
		}
		return p.object(out)
	}
	if err := p.printf("%s: ok\n\n", plain(c.File)); err != nil {
		return err
	}
	if err := p.facts(d); err != nil {
		return err
	}
	if sample == nil {
		return nil
	}
	title := "An event"
	if secret != "" {
		title += ", signed with the secret " + string(secret)
	}
	if err := p.section(title); err != nil {
		return err
	}
	if err := p.printf("\n%s\n", sample.Method+" "+sample.URL); err != nil {
		return err
	}
	for _, h := range sample.Headers {
		if err := p.printf("%s: %s\n", h.Name, h.Value); err != nil {
			return err
		}
	}
	return p.printf("\n%s\n", body)
}

// event is what the flags give.
func (c *dialectCheckCmd) event() (data, metadata []byte, err error) {
	if c.Data != "" {
		if data, err = readJSON("data", c.Data, nil); err != nil {
			return nil, nil, err
		}
	}
	if c.Metadata != "" {
		metadata, err = readJSON("metadata", c.Metadata, nil)
	}
	return data, metadata, err
}

// example is a sample event as the contract sends it, with data and metadata of
// its own if they are given.
func example(d *dialect.Dialect, data, metadata []byte) (*signedShape, hook.Secret, []byte, error) {
	s := trial.Samples(d)[0]
	at := time.Now()
	e := &hook.Event{ID: hook.NextEventID(0, at, randomTail()), Type: s.Type, Time: at, Data: s.Data, Previous: s.Previous, Metadata: s.Metadata, Number: 1}
	if data != nil {
		e.Data = data
	}
	if metadata != nil {
		e.Metadata = metadata
	}
	endpoint, tenant := exampleEndpoint(d), exampleTenant()
	endpoint.Settings, tenant.Settings = ones(d.BodySettings().Endpoint), ones(d.BodySettings().Tenant)
	body, err := d.Body(dialect.Input{Event: e, Endpoint: endpoint, Tenant: tenant, Number: 1, PublicURL: "https://hooks.example.com"})
	if err != nil {
		return nil, "", nil, err
	}
	r := dialect.Request{Event: e, Endpoint: endpoint, Tenant: tenant, URL: "https://example.com/hook", Method: d.Method(), Body: body, At: at, N: 1}
	r.URL = d.URL(r)
	var secret hook.Secret
	if d.SecretOwner() != dialect.SecretNone {
		if secret, err = d.NewSecret(); err != nil {
			return nil, "", nil, err
		}
		key, err := d.Key(secret)
		if err != nil {
			return nil, "", nil, err
		}
		r.Keys = []dialect.Key{key}
	}
	headers, err := d.Header(r)
	if err != nil {
		return nil, "", nil, err
	}
	return &signedShape{Dialect: d.Name(), ID: e.ID.String(), Timestamp: at.Unix(), Method: d.Method(), Headers: shapes(headers), Bytes: len(body), URL: r.URL}, secret, body, nil
}

// ones are settings that are all 1: a text, and a number where one is needed.
func ones(names []string) map[string]string {
	out := map[string]string{}
	for _, name := range names {
		out[name] = "1"
	}
	return out
}

// exampleBody is the body of an event for the example's endpoint.
func exampleBody(d *dialect.Dialect, e *hook.Event) ([]byte, error) {
	return d.Body(dialect.Input{Event: e, Endpoint: exampleEndpoint(d), Tenant: exampleTenant(), Number: 1, PublicURL: "https://hooks.example.com"})
}

// exampleEndpoint and exampleTenant stand where a contract's file names them.
func exampleEndpoint(d *dialect.Dialect) *hook.Endpoint {
	e := &hook.Endpoint{ID: "ep_example", Num: 1, Tenant: "example", TenantNum: 1, Dialect: d.Name(), State: hook.EndpointActive}
	switch d.IDs() {
	case dialect.NumberIDs:
		e.VendorID = "1"
	case dialect.UUIDs:
		e.VendorID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	}
	return e
}

func exampleTenant() *hook.Tenant { return &hook.Tenant{ID: "example", Num: 1} }

type dialectSignCmd struct {
	Dialect string `arg:"" name:"dialect" help:"Its name, or its file."`
	signing
}

// Help gives examples.
func (*dialectSignCmd) Help() string {
	return `The same as grapnel sign --dialect: standard input is the body to the last byte, or with --event
the data of an event, without the white space around it.

Examples:

    printf '{"id":1}' | grapnel dialect sign propstack --secret-file secret.txt
    grapnel dialect sign api2cart --secret-file secret.txt --type order.add --metadata '{"store_id":"1"}' --event < invoice.json
    grapnel dialect sign smake --event --json < invoice.json`
}

// Run signs.
func (c *dialectSignCmd) Run(p *program) error {
	d, err := dialectAs("DIALECT", c.Dialect)
	if err != nil {
		return err
	}
	return c.sign(p, d)
}
