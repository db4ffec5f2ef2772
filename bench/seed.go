package bench

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/serve/offline"
)

// seedConfig is what a seed worker is asked to do.
type seedConfig struct {
	Dir       string   `json:"dir"`
	Tenants   int      `json:"tenants"`
	Endpoints int      `json:"endpoints"` // of each
	Prefixes  []string `json:"prefixes"`  // of the endpoints' addresses, in turn; a number follows
	Type      string   `json:"type"`      // that all endpoints get; "": each one of its own
	Events    int64    `json:"events"`
	Size      int      `json:"size"` // bytes of data
}

// seedResult tells how far it is, and at last that it is over.
type seedResult struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
	Over  bool  `json:"over"`
}

// seed writes a data folder. It leaves it as a server would whose lanes all lie
// behind.
func seed(ctx context.Context, c seedConfig, tell func(seedResult) error) error {
	var told time.Time
	plan := offline.SeedPlan{
		Dir: c.Dir, Tenants: c.Tenants, Endpoints: c.Endpoints, Events: c.Events, Size: c.Size, Behind: true,
		URL: func(tenant, endpoint int) string {
			n := tenant*c.Endpoints + endpoint
			return fmt.Sprintf("%s%d", c.Prefixes[n%len(c.Prefixes)], n)
		},
		Type: func(_, endpoint int) string { return orDefault(c.Type, eventType(endpoint)) },
		Progress: func(done, total int64) {
			if time.Since(told) > time.Second {
				told = time.Now()
				_ = tell(seedResult{Done: done, Total: total}) // nobody is there: ctx ends
			}
		},
	}
	if err := offline.Seed(ctx, plan); err != nil {
		return fmt.Errorf("bench worker: %w", err)
	}
	return tell(seedResult{Over: true})
}
