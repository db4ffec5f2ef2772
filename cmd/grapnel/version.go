package main

import "grapnel/internal/telemetry"

type versionCmd struct{}

// Help gives examples.
func (*versionCmd) Help() string {
	return `Examples:

    grapnel version
    grapnel version --json`
}

// Run prints the version.
func (*versionCmd) Run(p *program) error {
	v := telemetry.ReadVersion()
	if p.JSON {
		return p.object(v)
	}
	revision := v.Revision
	if revision == "" {
		revision = "no revision recorded"
	}
	return p.printf("grapnel %s (%s), %s, %s\n", v.Version, revision, v.Go, v.Platform)
}
