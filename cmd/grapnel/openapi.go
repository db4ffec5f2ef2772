package main

import (
	"bytes"
	"fmt"

	"github.com/goccy/go-yaml"

	"grapnel/internal/api"
	"grapnel/internal/telemetry"
)

type openapiCmd struct {
	Format string `enum:"json,yaml" default:"yaml" placeholder:"FORMAT" help:"Print it as yaml or json (default ${default}; json with --json)."`
}

// Help gives examples.
func (*openapiCmd) Help() string {
	return `Prints the OpenAPI 3.1 document of the API that this program serves at /v1/openapi.json. No
server is needed.

Examples:

    grapnel openapi > openapi.yaml
    grapnel openapi --format json > openapi.json`
}

// Run prints the document.
func (c *openapiCmd) Run(p *program) error {
	doc, err := api.OpenAPI(telemetry.ReadVersion().Version)
	if err != nil {
		return fmt.Errorf("make the document: %w", err)
	}
	if c.Format == "json" || p.JSON {
		return p.printf("%s\n", bytes.TrimRight(doc, "\n"))
	}
	text, err := yaml.JSONToYAML(doc)
	if err != nil {
		return fmt.Errorf("write the document as YAML: %w", err)
	}
	return p.printf("%s\n", bytes.TrimRight(text, "\n"))
}
