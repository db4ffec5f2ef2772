package convert

import (
	"context"
	"errors"
	"time"

	"grapnel/internal/fair"
)

// What programs of tenants may cost. One that takes longer than quick is run where it
// keeps nobody waiting but the like of it: at one place for the whole server, which
// rests as long as it works.
const (
	quick       = 10 * time.Millisecond // of the processors, beyond which a program is costly
	costlyAfter = 3                     // such runs, less others, for a tenant to be
	costlyMost  = 8                     // of them are remembered
	costlyFor   = 10 * time.Second      // after the last one
	maxCostly   = 10_000                // tenants with any that are remembered
	turnWait    = 10 * time.Second      // for a turn at that place
)

// Guests runs programs that belong to tenants. Those of one tenant that take long, or
// never end, wait for each other; other tenants' go on as if they were not there.
type Guests struct {
	quick, slow doer
	costly      *fair.Costly
	turns       *fair.Turns
}

// doer does what a Runner does, for a party that takes turns with others.
type doer interface {
	do(ctx context.Context, party string, op byte, programs []string, data []byte) ([]byte, error)
}

// NewGuests makes Guests by New. Whoever has them must end them by the function that
// comes with them.
func NewGuests(c PoolConfig) (g *Guests, end func()) {
	c.Deadline, c.Patience = quick, slow*Deadline
	fast, endFast := New(c)
	c.Children, c.Deadline, c.Modest = 1, Deadline, true
	late, endLate := New(c)
	g = &Guests{
		quick: fast.(doer), slow: late.(doer),
		costly: fair.NewCostly(costlyAfter, costlyMost, maxCostly, costlyFor), turns: fair.NewTurns(1),
	}
	return g, func() { endFast(); endLate() }
}

// Check compiles a tenant's program, and does not run it. Errors are as those of
// Runner.Check.
func (g *Guests) Check(ctx context.Context, tenant, program string) error {
	_, err := g.do(ctx, tenant, opCheck, program, nil)
	return err
}

// Run sends data through a tenant's program. Errors are as those of Runner.Run.
func (g *Guests) Run(ctx context.Context, tenant, program string, data []byte) ([]byte, error) {
	return g.do(ctx, tenant, opRun, program, data)
}

func (g *Guests) do(ctx context.Context, tenant string, op byte, program string, data []byte) ([]byte, error) {
	programs := []string{program}
	known := g.costly.Is(tenant, time.Now())
	if !known {
		out, err := g.quick.do(ctx, tenant, op, programs, data)
		late := errors.Is(err, errTooLong)
		g.costly.Note(tenant, late || errors.Is(err, errDied), time.Now())
		if !late {
			return out, err
		}
	}
	wait, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	if g.turns.Take(wait, tenant) != nil {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, errTurn
	}
	begun := time.Now()
	out, err := g.slow.do(ctx, tenant, op, programs, data)
	took := time.Since(begun)
	if known { // else this run is noted already
		g.costly.Note(tenant, took > quick, begun.Add(took))
	}
	time.AfterFunc(took, g.turns.Give)
	return out, err
}
