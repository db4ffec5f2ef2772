package main

import (
	"context"
	"iter"
	"os"
	"os/signal"
	"syscall"

	"grapnel/client"
)

// limited is what every command takes that lists something.
type limited struct {
	Limit int `default:"100" placeholder:"N" help:"List at most so many; 0 for all (default ${default})."`
}

// Validate refuses a limit that cannot be.
func (l limited) Validate() error {
	if l.Limit < 0 {
		return fail(exitUsage, "write 0 for all, or how many", "--limit: %d is below 0", l.Limit)
	}
	return nil
}

// view is how a list is shown to a person: a header, and the cells of a thing.
type view[T any] struct {
	header []string
	cells  func(*T) []string
}

// show prints a list as it comes in: lines of JSON, or a table.
func show[T any](p *program, l limited, all iter.Seq2[*T, error], v view[T]) error {
	t := p.newTable(v.header...)
	n := 0
	for item, err := range all {
		if err != nil {
			return err
		}
		if l.Limit > 0 && n == l.Limit {
			p.note("no more than %d are listed; --limit 0 lists all", n)
			break
		}
		n++
		if p.JSON {
			err = p.line(item)
		} else {
			err = t.row(v.cells(item)...)
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

// list asks the server for a list and shows it.
func list[T any](p *program, r *remote, l limited, v view[T], ask func(context.Context, *client.Client) iter.Seq2[*T, error]) error {
	api, err := r.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	return show(p, l, ask(ctx, api), v)
}

// listOf is list of what a tenant has.
func listOf[T any](p *program, s *scoped, l limited, v view[T], ask func(context.Context, *client.Client, string) iter.Seq2[*T, error]) error {
	api, tenant, err := s.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	return show(p, l, ask(ctx, api, tenant), v)
}

// one asks the server for one thing, or for a change of it, and shows what it
// is then.
func one[T any](p *program, r *remote, ask func(context.Context, *client.Client) (*T, error), tell func(*T) error) error {
	api, err := r.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	thing, err := ask(ctx, api)
	if err != nil {
		return err
	}
	return tell(thing)
}

// oneOfTenant is one about what a tenant has.
func oneOfTenant[T any](p *program, s *scoped, ask func(context.Context, *client.Client, string) (*T, error), tell func(*T) error) error {
	api, tenant, err := s.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	thing, err := ask(ctx, api, tenant)
	if err != nil {
		return err
	}
	return tell(thing)
}

// untilSignal is a context that ends with SIGINT or SIGTERM.
func untilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// rehearsed is what every command takes that can be tried out.
type rehearsed struct {
	DryRun bool `help:"Check everything and say what would happen, and change nothing."`
}

func (r rehearsed) options() []client.Option {
	if r.DryRun {
		return []client.Option{client.DryRun()}
	}
	return nil
}

// destructive is what every command takes that destroys something.
type destructive struct {
	rehearsed
	Yes bool `short:"y" help:"Do it without asking."`
}

// deleted is what --json prints of something that was deleted.
type deleted struct {
	Deleted string `json:"deleted"` // its id or name
}

// remove deletes something: with --dry-run it says what would go, else it asks
// first. what is the thing in words, such as "the tenant acme".
func (d destructive) remove(p *program, id, what string, call func(...client.Option) (*client.Removal, error)) error {
	if d.DryRun {
		gone, err := call(client.DryRun())
		if err != nil {
			return err
		}
		if p.JSON {
			return p.object(gone)
		}
		return p.printf("would delete %s: %s\n", plain(what), removal(gone))
	}
	if err := p.confirm("delete "+what, d.Yes); err != nil {
		return err
	}
	if _, err := call(); err != nil {
		return err
	}
	if p.JSON {
		return p.object(deleted{id})
	}
	return p.printf("deleted %s\n", plain(what))
}
