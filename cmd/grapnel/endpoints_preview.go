package main

import (
	"fmt"

	"grapnel/client"
)

type endpointsPreviewCmd struct {
	oneEndpoint
	Event     string   `placeholder:"ID" help:"A past event to make the request of (default a sample)."`
	Type      string   `placeholder:"NAME" help:"The type of the sample."`
	Data      string   `short:"d" placeholder:"JSON" help:"The data of the sample: JSON, @FILE, or - for standard input."`
	Transform string   `placeholder:"JQ" help:"A program to try in place of the endpoint's: jq, @FILE, or - for standard input."`
	Filter    string   `placeholder:"JSON" help:"A condition to try in place of the endpoint's: JSON, @FILE, or - for standard input."`
	Types     []string `name:"types" placeholder:"NAME" help:"A subscription to try in place of the endpoint's; may be given several times."`
}

// Help gives examples.
func (*endpointsPreviewCmd) Help() string {
	return `Nothing is sent or stored: what --transform, --filter and --types would do is shown before they
are set.

Examples:

    grapnel endpoints preview "$ENDPOINT"
    grapnel endpoints preview "$ENDPOINT" --event "$EVENT" --transform '.body = {text: .event.type}'
    grapnel endpoints preview "$ENDPOINT" --type invoice.paid -d '{"total":5}' --filter '{"field":"data.total","operator":"gt","value":10}' --json`
}

// Run asks and shows.
func (c *endpointsPreviewCmd) Run(p *program) (err error) {
	in := client.PreviewInput{Event: c.Event, Type: c.Type}
	if c.Data != "" {
		if in.Data, err = readJSON("data", c.Data, p.stdin); err != nil {
			return err
		}
	}
	if c.Transform != "" {
		program, err := readProgram("transform", c.Transform, p.stdin)
		if err != nil {
			return err
		}
		in.Transform = client.Set(program)
	}
	if c.Filter != "" {
		filter, err := readJSON("filter", c.Filter, p.stdin)
		if err != nil {
			return err
		}
		in.Filter = client.Set(filter)
	}
	if c.Types != nil {
		in.EventTypes = client.Set(c.Types)
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	shown, err := api.Preview(ctx, tenant, c.ID, in)
	if err != nil {
		return err
	}
	if p.JSON {
		return p.object(shown)
	}
	return p.requestPreview(shown)
}

func (p *program) requestPreview(shown *client.Preview) error {
	matches := "yes"
	if !shown.Matches {
		matches = "no: " + shown.Why
	}
	event := shown.Event
	if event == "" {
		event = "a sample"
	}
	all := []field{{"event", event}, {"type", shown.Type}, {"would get it", matches}, {"at", shown.Filter}}
	if shown.Before != nil {
		all = append(all, field{"before", shown.Before.Text})
	}
	if shown.Error != "" {
		all = append(all, field{"would be held", shown.Error})
	}
	if err := p.fields(all...); err != nil || shown.Request == nil {
		return err
	}
	r := shown.Request
	if err := p.printf("\n%s %s\n", r.Method, plain(r.URL)); err != nil {
		return err
	}
	for _, h := range r.Headers {
		if err := p.printf("%s\n", plain(h[0]+": "+h[1])); err != nil {
			return err
		}
	}
	body := r.Text
	if r.Encoding != "" {
		body = fmt.Sprintf("(%s) %s", r.Encoding, body)
	}
	return p.printf("\n%s\n", plain(body))
}
