package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
)

type endpointsTestCmd struct {
	oneEndpoint
	Type string  `placeholder:"NAME" help:"The event's type (default webhook.test, or without data that of the dialect's sample)."`
	Data string  `short:"d" placeholder:"JSON" help:"The event's data: JSON, @FILE, or - for standard input (default the type's sample, or the dialect's, or a greeting)."`
	Wait waiting `placeholder:"TIME" help:"Wait until the delivery is over, for 30s or as long as --wait=TIME says, and end with exit code 8 if it was not delivered."`
}

// Help gives examples.
func (*endpointsTestCmd) Help() string {
	return `The event is sent whatever the endpoint subscribes to, by the same way as any other.

Examples:

    grapnel endpoints test "$ENDPOINT"
    grapnel endpoints test "$ENDPOINT" --type invoice.paid -d '{"total":12.5}' --wait --json`
}

// Run sends.
func (c *endpointsTestCmd) Run(p *program) error {
	in := client.TestInput{Type: c.Type}
	if c.Data != "" {
		data, err := readJSON("data", c.Data, p.stdin)
		if err != nil {
			return err
		}
		in.Data = data
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	r, err := api.TestEndpoint(ctx, tenant, c.ID, in)
	if err != nil {
		return err
	}
	out := sent{Receipt: &client.Receipt{ID: r.ID, Matched: 1}}
	var waited error
	if c.Wait > 0 {
		out.Deliveries, waited = follow(ctx, api, tenant, r.ID, time.Duration(c.Wait))
	}
	if err := p.sent(&out); err != nil {
		return err
	}
	return waited
}

// endpointsSecretCmd is about an endpoint's secrets.
type endpointsSecretCmd struct {
	Show   endpointsSecretShowCmd   `cmd:"" help:"Show when an endpoint's secrets count, and its public key."`
	Reveal endpointsSecretRevealCmd `cmd:"" help:"Show the secrets that an endpoint's requests are signed with."`
	Rotate endpointsSecretRotateCmd `cmd:"" help:"Replace an endpoint's secret."`
}

// Help gives examples.
func (*endpointsSecretCmd) Help() string {
	return `A secret is told when it is made. Who reads it again with reveal is noted in the audit log.

Examples:

    grapnel endpoints secret show "$ENDPOINT"
    grapnel endpoints secret rotate "$ENDPOINT" --yes`
}

type endpointsSecretShowCmd struct{ oneEndpoint }

// Help gives examples.
func (*endpointsSecretShowCmd) Help() string {
	return `The secret itself was told when it was made; grapnel endpoints secret reveal shows it again.

Examples:

    grapnel endpoints secret show "$ENDPOINT"
    grapnel endpoints secret show "$ENDPOINT" --json`
}

// secretsShape is what --json prints.
type secretsShape struct {
	Endpoint string                  `json:"endpoint"`
	Secrets  []client.EndpointSecret `json:"secrets"`
}

// Run shows.
func (c *endpointsSecretShowCmd) Run(p *program) error {
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	e, err := api.Endpoint(ctx, tenant, c.ID)
	if err != nil {
		return err
	}
	if p.JSON {
		return p.object(secretsShape{e.ID, e.Secrets})
	}
	t := p.newTable("SECRET", "MADE", "SIGNS UNTIL", "PUBLIC KEY")
	for i, s := range e.Secrets {
		until := "no end is set"
		if s.ExpiresAt != nil {
			until = when(s.ExpiresAt)
		}
		if err := t.row(fmt.Sprint(i+1), when(&s.CreatedAt), until, s.PublicKey); err != nil {
			return err
		}
	}
	return t.end()
}

type endpointsSecretRotateCmd struct {
	oneEndpoint
	SecretFile string           `placeholder:"FILE" help:"File that holds the new secret, - for standard input (default one that the server makes)."`
	Overlap    *config.Duration `placeholder:"TIME" help:"For how long the old secret signs as well (default a day)."`
	Yes        bool             `short:"y" help:"Do it without asking."`
}

// Help gives examples.
func (*endpointsSecretRotateCmd) Help() string {
	return `While both sign, a receiver that knows either can verify. The new secret is shown.

Examples:

    grapnel endpoints secret rotate "$ENDPOINT" --yes
    grapnel endpoints secret rotate "$ENDPOINT" --overlap 7d --yes --json`
}

// Run rotates.
func (c *endpointsSecretRotateCmd) Run(p *program) error {
	var in client.Rotation
	var err error
	if in.Secret, err = p.secretField(c.SecretFile, &c.remote); err != nil {
		return err
	}
	if c.Overlap != nil {
		in.Overlap = client.Set(client.Duration(*c.Overlap))
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	if err := p.confirm("replace the secret of the endpoint "+c.ID, c.Yes); err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	e, err := api.RotateSecret(ctx, tenant, c.ID, in)
	if err != nil {
		return err
	}
	return p.endpoint(e)
}

type endpointsStatsCmd struct {
	oneEndpoint
	Since past `default:"24h" placeholder:"TIME" help:"Count deliveries of events accepted since then: a time, or a span such as 2h or 7d (default ${default})."`
	Limit int  `default:"10000" placeholder:"N" help:"Look at the newest N at most; 0 for all (default ${default})."`
}

// Help gives examples.
func (*endpointsStatsCmd) Help() string {
	return `The deliveries are listed and counted, so that a busy endpoint takes a while.

Examples:

    grapnel endpoints stats "$ENDPOINT"
    grapnel endpoints stats "$ENDPOINT" --since 7d --json`
}

// endpointStats is what --json prints.
type endpointStats struct {
	Endpoint    string         `json:"endpoint"`
	Since       time.Time      `json:"since"`
	Deliveries  int            `json:"deliveries"`
	Complete    bool           `json:"complete"`               // no limit cut the count short
	Attempts    int            `json:"attempts"`               // of these deliveries
	SuccessRate *float64       `json:"success_rate,omitempty"` // delivered of those that were delivered or given up; absent: none was
	States      map[string]int `json:"states"`                 // deliveries by state
	LastAnswers map[string]int `json:"last_answers"`           // deliveries by the last attempt's status or failure
}

// Run counts.
func (c *endpointsStatsCmd) Run(p *program) error {
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	out := endpointStats{Endpoint: c.ID, Since: c.Since.UTC(), Complete: true, States: map[string]int{}, LastAnswers: map[string]int{}}
	told := p.progress(0, "counting deliveries")
	defer told.end()
	for d, err := range api.Deliveries(ctx, tenant, client.DeliveryFilter{Endpoint: c.ID, Since: c.Since.Time}) {
		if err != nil {
			return err
		}
		if c.Limit > 0 && out.Deliveries == c.Limit {
			out.Complete = false
			break
		}
		out.count(d)
		told.add(1)
	}
	told.end()
	if over := out.States[client.Delivered] + out.States[client.Failed]; over > 0 {
		rate := float64(out.States[client.Delivered]) / float64(over)
		out.SuccessRate = &rate
	}
	return out.print(p)
}

func (s *endpointStats) count(d *client.Delivery) {
	s.Deliveries++
	s.Attempts += d.AttemptCount
	s.States[d.State]++
	if d.AttemptCount > 0 {
		s.LastAnswers[lastAnswer(d)]++
	}
}

// lastAnswer is the status of the last attempt, or why it has none.
func lastAnswer(d *client.Delivery) string {
	switch {
	case d.Status != 0:
		return fmt.Sprint(d.Status)
	case d.Class != "":
		return d.Class
	case d.AttemptCount > 0:
		return "no answer"
	}
	return ""
}

func (s *endpointStats) print(p *program) error {
	if p.JSON {
		return p.object(s)
	}
	of := fmt.Sprint(s.Deliveries)
	if !s.Complete {
		of = fmt.Sprintf("the newest %d; --limit 0 counts all", s.Deliveries)
	}
	rate := "nothing is over yet"
	if s.SuccessRate != nil {
		rate = fmt.Sprintf("%.2f %% of the deliveries that are delivered or failed", 100**s.SuccessRate)
	}
	if err := p.fields(field{"endpoint", s.Endpoint}, field{"since", when(&s.Since)}, field{"deliveries", of}, field{"attempts", fmt.Sprint(s.Attempts)}, field{"success", rate}); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		of    map[string]int
	}{{"By state", s.States}, {"By last answer", s.LastAnswers}} {
		if len(part.of) == 0 {
			continue
		}
		if err := p.section(part.title); err != nil {
			return err
		}
		names := slices.SortedFunc(maps.Keys(part.of), func(a, b string) int {
			return cmp.Or(cmp.Compare(part.of[b], part.of[a]), cmp.Compare(a, b))
		})
		var rows []field
		for _, name := range names {
			rows = append(rows, field{name, fmt.Sprint(part.of[name])})
		}
		if err := p.fields(rows...); err != nil {
			return err
		}
	}
	return nil
}
