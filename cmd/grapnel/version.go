package main

import (
	"encoding/json"
	"fmt"

	"grapnel/internal/telemetry"
)

type versionCmd struct {
	JSON bool `help:"Print one JSON object."`
}

// Help gives examples.
func (*versionCmd) Help() string {
	return `Examples:

    grapnel version
    grapnel version --json | jq -r .revision`
}

// Run prints the version.
func (c *versionCmd) Run(p *program) error {
	v := telemetry.ReadVersion()
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(v)
	}
	revision := v.Revision
	if revision == "" {
		revision = "no revision recorded"
	}
	_, err := fmt.Fprintf(p.stdout, "grapnel %s (%s), %s, %s\n", v.Version, revision, v.Go, v.Platform)
	return err
}
