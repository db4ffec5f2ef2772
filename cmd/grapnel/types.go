package main

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"strings"

	"grapnel/client"
)

// typesCmd is about event types.
type typesCmd struct {
	List    typesListCmd    `cmd:"" help:"List the event types of the catalogue."`
	Get     typesGetCmd     `cmd:"" help:"Show an event type."`
	Put     typesPutCmd     `cmd:"" help:"Create an event type, or change one."`
	Delete  typesDeleteCmd  `cmd:"" help:"Delete an event type."`
	Import  typesImportCmd  `cmd:"" help:"Take event types over from OpenAPI, AsyncAPI and JSON Schema files."`
	Export  typesExportCmd  `cmd:"" help:"Print the catalogue as OpenAPI, AsyncAPI or JSON Schema."`
	Samples typesSamplesCmd `cmd:"" help:"Print bodies of a type as a tenant's endpoints get them."`
}

// Help gives examples.
func (*typesCmd) Help() string {
	return `The catalogue describes the types of events. One that is not in it can be published all the same.

Examples:

    grapnel types put invoice.paid --description "An invoice was paid in full" --sample '{"total":12.5}'
    grapnel types list`
}

var typeView = view[client.EventType]{
	header: []string{"TYPE", "GROUP", "DESCRIPTION", "UPDATED"},
	cells: func(t *client.EventType) []string {
		description := t.Description
		if t.Deprecated {
			description = strings.TrimSpace("(deprecated) " + description)
		}
		return []string{t.Name, t.Group, description, when(&t.UpdatedAt)}
	},
}

func (p *program) eventType(t *client.EventType) error {
	if p.JSON {
		return p.object(t)
	}
	sample := ""
	if string(t.Sample) != "null" {
		sample = string(t.Sample)
	}
	fields := []field{{"type", t.Name}, {"group", t.Group}, {"description", t.Description}}
	if t.Deprecated {
		fields = append(fields, field{"deprecated", "nobody new is to subscribe to it"})
	}
	if string(t.Schema) != "null" {
		told := "it describes data; events are not held against it"
		if t.Validate {
			told = "events that do not satisfy it are refused"
		}
		fields = append(fields, field{"schema", string(t.Schema)}, field{"", told})
	}
	fields = append(fields, field{"sample", sample})
	if t.Transform != nil {
		fields = append(fields, field{"transform", *t.Transform})
	}
	for i, v := range t.Versions {
		label := ""
		if i == 0 {
			label = "versions"
		}
		if v.Convert == "" {
			fields = append(fields, field{label, v.Version + "  the newest shape"})
		} else {
			fields = append(fields, field{label, v.Version + "  " + v.Convert})
		}
	}
	return p.fields(append(fields, field{"created", when(&t.CreatedAt)}, field{"updated", when(&t.UpdatedAt)})...)
}

type typesListCmd struct {
	Group      *string `placeholder:"GROUP" help:"Only those of this group."`
	Deprecated *bool   `negatable:"" help:"Only those that are deprecated, or, with --no-deprecated, that are not."`
	remote
	limited
}

// Help gives examples.
func (*typesListCmd) Help() string {
	return `Examples:

    grapnel types list
    grapnel types list --group Invoices --no-deprecated
    grapnel types list --limit 0 --json`
}

// Run lists.
func (c *typesListCmd) Run(p *program) error {
	return list(p, &c.remote, c.limited, typeView, func(ctx context.Context, api *client.Client) iter.Seq2[*client.EventType, error] {
		return api.EventTypes(ctx, client.EventTypeFilter{Group: c.Group, Deprecated: c.Deprecated})
	})
}

// oneType is what every command takes that is about an event type.
type oneType struct {
	Name string `arg:"" name:"type" help:"The type's name, such as invoice.paid."`
	remote
}

type typesGetCmd struct{ oneType }

// Help gives examples.
func (*typesGetCmd) Help() string {
	return `Examples:

    grapnel types put invoice.paid && grapnel types get invoice.paid
    grapnel types put invoice.paid --quiet && grapnel types get invoice.paid --json`
}

// Run shows.
func (c *typesGetCmd) Run(p *program) error {
	return one(p, &c.remote, func(ctx context.Context, api *client.Client) (*client.EventType, error) {
		return api.EventType(ctx, c.Name)
	}, p.eventType)
}

type typesPutCmd struct {
	oneType
	Description *string  `placeholder:"TEXT" help:"What such an event means, for those who subscribe."`
	Sample      string   `placeholder:"JSON" help:"The data of an event of it, which tests send: JSON, @FILE, or - for standard input."`
	Convert     []string `sep:"none" placeholder:"VERSION=JQ" help:"An earlier shape of the data, and the jq program that makes data of the next newer shape into it, or @FILE with the program. Given several times, newest first; the first may be VERSION= alone, to name the newest shape. It replaces all versions that there are."`
	Group       *string  `placeholder:"TEXT" help:"What it is listed under, such as Invoices."`
	Schema      string   `placeholder:"JSON" help:"JSON Schema (2020-12) of the data: JSON, @FILE, or - for standard input."`
	Transform   string   `placeholder:"JQ" help:"A program that bodies of the type go through before that of their endpoint: jq, @FILE, or - for standard input."`
	Validate    *bool    `negatable:"" help:"Refuse events that do not satisfy the schema."`
	Deprecated  *bool    `negatable:"" help:"Say that nobody new is to subscribe to it."`
	Unset       []string `enum:"description,group,schema,sample,transform,versions" placeholder:"FIELD" help:"Set a field back to its default: description, group, schema, sample, transform or versions."`
	rehearsed
}

// Help gives examples.
func (*typesPutCmd) Help() string {
	return `What is not given stays as it is.

Examples:

    grapnel types put invoice.paid --description "An invoice was paid in full" --sample '{"total":12.5}'
    echo '{"id":1}' | grapnel types put user.created --sample - --dry-run
    grapnel types put invoice.paid --schema '{"type":"object","required":["total"]}' --validate --group Invoices
    grapnel types put invoice.issued --convert 2026-01-01= --convert '2025-01-01={total: .total.value}' --sample '{"total":{"value":"12.50"}}'`
}

// Run creates or changes.
func (c *typesPutCmd) Run(p *program) error {
	in := client.EventTypeInput{
		Description: client.SetIf(c.Description), Group: client.SetIf(c.Group), Validate: client.SetIf(c.Validate), Deprecated: client.SetIf(c.Deprecated),
	}
	if c.Schema != "" {
		schema, err := readJSON("schema", c.Schema, p.stdin)
		if err != nil {
			return err
		}
		in.Schema = client.Set(schema)
	}
	if c.Transform != "" {
		program, err := readProgram("transform", c.Transform, p.stdin)
		if err != nil {
			return err
		}
		in.Transform = client.Set(program)
	}
	if len(c.Convert) > 0 {
		versions, err := readVersions(c.Convert)
		if err != nil {
			return err
		}
		in.Versions = client.Set(versions)
	}
	if c.Sample != "" {
		sample, err := readJSON("sample", c.Sample, p.stdin)
		if err != nil {
			return err
		}
		in.Sample = client.Set(sample)
	}
	for _, name := range c.Unset {
		switch name {
		case "group":
			in.Group = client.Null[string]()
		case "schema":
			in.Schema = client.Null[json.RawMessage]()
			in.Validate = client.Null[bool]()
		case "sample":
			in.Sample = client.Null[json.RawMessage]()
		case "transform":
			in.Transform = client.Null[string]()
		case "versions":
			in.Versions = client.Null[[]client.TypeVersion]()
		default:
			in.Description = client.Null[string]()
		}
	}
	api, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	t, err := api.PutEventType(ctx, c.Name, in, c.options()...)
	if err != nil {
		return err
	}
	p.dryNote(t.Meta)
	return p.eventType(t)
}

// readVersions reads the values of --convert.
func readVersions(args []string) ([]client.TypeVersion, error) {
	var versions []client.TypeVersion
	for _, arg := range args {
		version, program, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fail(exitUsage, "write --convert VERSION=PROGRAM, or --convert VERSION=@FILE", "--convert %q names no program", arg)
		}
		if file, ok := strings.CutPrefix(program, "@"); ok {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fail(exitUsage, "write --convert VERSION=PROGRAM, or --convert VERSION=@FILE", "the program of version %s cannot be read: %w", version, err)
			}
			program = strings.TrimSpace(string(text))
		}
		versions = append(versions, client.TypeVersion{Version: version, Convert: program})
	}
	return versions, nil
}

type typesDeleteCmd struct {
	oneType
	destructive
}

// Help gives examples.
func (*typesDeleteCmd) Help() string {
	return `Events of the type can still be published, and subscriptions stay.

Examples:

    grapnel types put passing.type && grapnel types delete passing.type --dry-run
    grapnel types put passing.type && grapnel types delete passing.type --yes`
}

// Run deletes.
func (c *typesDeleteCmd) Run(p *program) error {
	api, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	return c.remove(p, c.Name, "the event type "+c.Name, func(options ...client.Option) (*client.Removal, error) {
		return api.DeleteEventType(ctx, c.Name, options...)
	})
}
