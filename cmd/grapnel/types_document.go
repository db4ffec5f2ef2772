package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"

	"grapnel/client"
	"grapnel/internal/catalogue"
)

type typesImportCmd struct {
	Files    []string `arg:"" name:"file" help:"The documents, JSON or YAML; - for standard input."`
	Format   string   `default:"auto" enum:"auto,openapi,asyncapi,jsonschema" placeholder:"FORMAT" help:"What the files are: openapi (3.1, with webhooks), asyncapi, jsonschema, or auto, by what is in them (default ${default})."`
	Validate *bool    `negatable:"" help:"Refuse events of these types that do not satisfy the schemas."`
	rehearsed
	remote
}

// Help gives examples.
func (*typesImportCmd) Help() string {
	return `Takes names, descriptions, groups (the first tag), deprecation, schemas and examples over. What a
document does not say of a type stays as it is, and no type is deleted, so a file can be imported
as often as one likes. Where bodies are described as Standard Webhooks has them, with type,
timestamp and data, the schema of data is taken. Nothing is fetched: bundle a document first that
refers to others. The exit code is 6 if a type was refused.

Examples:

    grapnel types import openapi.yaml --dry-run
    grapnel types import openapi.yaml --validate
    grapnel types import user.renamed.json --json`
}

// importedType is what became of one type, as --json prints it.
type importedType struct {
	Name    string   `json:"name"`
	Result  string   `json:"result"` // created, changed, unchanged or refused
	Message string   `json:"message,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// Run imports.
func (c *typesImportCmd) Run(p *program) error {
	var types []catalogue.Type
	for _, file := range c.Files {
		found, err := c.read(p, file)
		if err != nil {
			return err
		}
		types = append(types, found...)
	}
	api, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	refused := 0
	counts := map[string]int{}
	for i := range types {
		done, err := c.put(ctx, api, &types[i])
		if err != nil {
			return err
		}
		counts[done.Result]++
		if done.Result == "refused" {
			refused++
		}
		if err := p.importedType(done); err != nil {
			return err
		}
	}
	if !p.JSON {
		would := ""
		if c.DryRun {
			would = "a dry run, nothing was changed: "
		}
		p.note("%s%d created, %d changed, %d unchanged, %d refused", would, counts["created"], counts["changed"], counts["unchanged"], refused)
	}
	if refused > 0 {
		return fail(exitInvalid, "mend the document and import it again: what was taken stays as it is", "%d of %d types were refused", refused, len(types))
	}
	return nil
}

func (c *typesImportCmd) read(p *program, file string) ([]catalogue.Type, error) {
	var raw []byte
	var err error
	if file == "-" {
		raw, err = io.ReadAll(p.stdin)
	} else {
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fail(exitUsage, "name the files of the documents", "%s cannot be read: %w", file, err)
	}
	format := catalogue.Format(c.Format)
	if c.Format == "auto" {
		format = ""
	}
	types, err := catalogue.Read(filepath.Base(file), format, raw)
	if err != nil {
		return nil, fail(exitInvalid, "mend the document, or say with --format what it is", "%s: %w", file, err)
	}
	return types, nil
}

// put creates or changes a type, if there is something to change.
func (c *typesImportCmd) put(ctx context.Context, api *client.Client, t *catalogue.Type) (importedType, error) {
	done := importedType{Name: t.Name, Notes: t.Notes}
	old, err := api.EventType(ctx, t.Name)
	var problem *client.Error
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound:
		old, done.Result = &client.EventType{}, "created"
	case err != nil:
		return done, err
	}
	in, changed := c.changes(old, t)
	if done.Result == "" && !changed {
		done.Result = "unchanged"
		return done, nil
	}
	if done.Result == "" {
		done.Result = "changed"
	}
	_, err = api.PutEventType(ctx, t.Name, in, c.options()...)
	if errors.As(err, &problem) && problem.Status == http.StatusBadRequest {
		done.Result, done.Message = "refused", problem.Detail
		return done, nil
	}
	return done, err
}

// changes is what a document says otherwise of a type than it is.
func (c *typesImportCmd) changes(old *client.EventType, t *catalogue.Type) (in client.EventTypeInput, changed bool) {
	note := func(differs bool) bool { changed = changed || differs; return differs }
	if note(t.Description != "" && t.Description != old.Description) {
		in.Description = client.Set(t.Description)
	}
	if note(t.Group != "" && t.Group != old.Group) {
		in.Group = client.Set(t.Group)
	}
	if note(t.Deprecated && !old.Deprecated) {
		in.Deprecated = client.Set(t.Deprecated)
	}
	if note(len(t.Schema) > 0 && !alike(t.Schema, old.Schema)) {
		in.Schema = client.Set(json.RawMessage(t.Schema))
	}
	if note(len(t.Sample) > 0 && !alike(t.Sample, old.Sample)) {
		in.Sample = client.Set(json.RawMessage(t.Sample))
	}
	if validate := c.Validate; validate != nil && (len(t.Schema) > 0 || !*validate) && note(*validate != old.Validate) {
		in.Validate = client.Set(*validate)
	}
	return in, changed
}

// alike reports whether two texts are the same JSON.
func alike(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func (p *program) importedType(t importedType) error {
	if p.JSON {
		return p.object(t)
	}
	line := fmt.Sprintf("%-9s  %s", t.Result, t.Name)
	if t.Message != "" {
		line += ": " + t.Message
	}
	if err := p.printf("%s\n", line); err != nil {
		return err
	}
	for _, n := range t.Notes {
		p.note("%s: %s", t.Name, n)
	}
	return nil
}

type typesExportCmd struct {
	Format string `default:"openapi" enum:"openapi,asyncapi,jsonschema" placeholder:"FORMAT" help:"What to make: openapi (3.1, with webhooks), asyncapi (3.0) or jsonschema (2020-12) (default ${default})."`
	For    string `placeholder:"TENANT" help:"In the shape that this tenant gets: of its dialect and api_version."`
	YAML   bool   `name:"yaml" help:"Print YAML."`
	remote
}

// Help gives examples.
func (*typesExportCmd) Help() string {
	return `The document is for those who receive the events: give it to your customers, or generate code
from it. Bodies are those of Standard Webhooks; with --for they are as that tenant gets them.

Examples:

    grapnel types export > webhooks.json
    grapnel types export --format asyncapi --yaml`
}

// Run prints the document.
func (c *typesExportCmd) Run(p *program) error {
	api, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	var doc json.RawMessage
	if c.For != "" {
		doc, err = api.TenantCatalogue(ctx, c.For, c.Format)
	} else {
		doc, err = api.Catalogue(ctx, c.Format)
	}
	if err != nil {
		return err
	}
	text := []byte(doc)
	if c.YAML && !p.JSON {
		if text, err = yaml.JSONToYAML(doc); err != nil {
			return fmt.Errorf("write the document as YAML: %w", err)
		}
	}
	return p.printf("%s\n", strings.TrimRight(string(text), "\n"))
}
