package vendortest

import (
	"grapnel/internal/dialect"
	"grapnel/internal/ingest"
)

// policy is what internal/serve tells ingest of a dialect.
func policy(dialects *dialect.Registry, name string) ingest.Policy {
	d, ok := dialects.Get(name)
	return ingest.Policy{CancelInactive: ok && d.OnInactive() == dialect.Cancel, Suppressible: ok && d.Suppressible()}
}
