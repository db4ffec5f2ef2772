package main

type typesSamplesCmd struct {
	Type  string `arg:"" help:"The event type, by its name."`
	Limit int    `default:"3" placeholder:"N" help:"How many at most, from 1 to 20 (default ${default})."`
	scoped
}

// Help gives examples.
func (*typesSamplesCmd) Help() string {
	return `They are those of the newest events; if there are none, that of the type's sample. Automation
platforms read the same from the API.

Examples:

    grapnel types samples invoice.paid
    grapnel types samples invoice.paid --limit 1 --json`
}

// Run prints them, one a line.
func (c *typesSamplesCmd) Run(p *program) error {
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	bodies, err := api.Samples(ctx, tenant, c.Type, c.Limit)
	if err != nil {
		return err
	}
	for _, body := range bodies {
		if err := p.printf("%s\n", body); err != nil {
			return err
		}
	}
	if len(bodies) == 0 {
		p.note("no event of the type was published yet, and the type has no sample: see grapnel types put --sample")
	}
	return nil
}
