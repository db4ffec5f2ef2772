package bench

import (
	"context"
	"time"
)

// diskEvents is how many events the scenario disk stores at most: two segments
// that are sealed, and the beginning of a third.
const diskEvents = 510_000

func diskTime(o Options) time.Duration {
	return 2 * time.Duration(float64(min(o.Events, diskEvents))/fillRate) * time.Second
}

// disk fills a store as it is by default and one that compresses, one after the
// other.
func disk(ctx context.Context, r *run) error {
	fill := func(what string, env []string) func() error {
		return func() error {
			r.progress.note("disk: %s%d events", what, min(r.Events, diskEvents))
			x, err := r.startSite(ctx, sitePlan{endpoints: r.endpoints(1), env: env})
			if err != nil {
				return err
			}
			defer x.end()
			_, err = r.store(ctx, x, min(r.Events, diskEvents), what)
			return err
		}
	}
	return r.inTurn(fill("", nil), fill("zstd: ", []string{"GRAPNEL_COMPRESSION=zstd"}))
}
