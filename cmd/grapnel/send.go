package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"grapnel/client"
)

type sendCmd struct {
	Type           string  `arg:"" help:"The event's type, such as invoice.paid."`
	Data           string  `short:"d" default:"{}" placeholder:"JSON" help:"The event's data: JSON, @FILE, or - for standard input (default ${default})."`
	ID             string  `placeholder:"ID" help:"An id of your own: the event is taken in once, however often it is sent."`
	IdempotencyKey string  `placeholder:"KEY" help:"Idempotency-Key of the request."`
	OrderingKey    string  `placeholder:"KEY" help:"What it is about: endpoints with --ordering key get those with the same key one after the other."`
	Wait           waiting `placeholder:"TIME" help:"Wait until every delivery is over, for 30s or as long as --wait=TIME says. Exit code 8 if one is not delivered."`
	scoped
}

// Help gives examples.
func (*sendCmd) Help() string {
	return `Examples:

    grapnel send user.created -d '{"id":1}'
    grapnel send user.created -d '{"id":1}' --id user-1-created --wait=1m
    echo '{"total":12.5}' | grapnel send invoice.paid -d - --tenant demo --json`
}

// waiting is a flag that may have a value: --wait, --wait=2m.
type waiting time.Duration

const defaultWait = waiting(30 * time.Second)

// IsBool lets the flag stand alone.
func (*waiting) IsBool() bool { return true }

// Decode reads the flag.
func (w *waiting) Decode(ctx *kong.DecodeContext) error {
	text := "true"
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		text = fmt.Sprint(ctx.Scan.Pop().Value)
	}
	switch text {
	case "true", "yes", "1", "":
		*w = defaultWait
		return nil
	case "false", "no", "0":
		*w = 0
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time span; write --wait or one such as --wait=2m", text)
	}
	*w = waiting(d)
	return nil
}

// sent is what --json prints.
type sent struct {
	*client.Receipt
	Deliveries []client.Delivery `json:"deliveries,omitempty"`
}

// Run publishes, and waits if asked to.
func (c *sendCmd) Run(p *program) error {
	if c.Data == "-" && c.KeyFile == "-" {
		return fail(exitUsage, "name a file for one of them", "--data and --key-file cannot both be standard input")
	}
	if strings.ContainsFunc(c.IdempotencyKey, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fail(exitInvalid, "write a word or a UUID", "the Idempotency-Key holds printable ASCII only")
	}
	data, err := readJSON("data", c.Data, p.stdin)
	if err != nil {
		return err
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	receipt, err := api.Publish(ctx, tenant, client.Event{ID: c.ID, Type: c.Type, Data: data, Ordering: c.OrderingKey}, client.IdempotencyKey(c.IdempotencyKey))
	if err != nil {
		return err
	}
	out := sent{Receipt: receipt}
	var waited error
	if c.Wait > 0 {
		out.Deliveries, waited = follow(ctx, api, tenant, receipt.ID, time.Duration(c.Wait))
	}
	if err := p.sent(&out); err != nil {
		return err
	}
	return waited
}

// sent prints a published event: its id, and what became of it as far as that
// was waited for.
func (p *program) sent(s *sent) error {
	if p.JSON {
		return p.object(s)
	}
	if err := p.printf("%s\n", plain(s.ID)); err != nil || s.Deliveries == nil {
		return err
	}
	t := p.newTable(deliveryView.header...)
	for i := range s.Deliveries {
		if err := t.row(deliveryView.cells(&s.Deliveries[i])...); err != nil {
			return err
		}
	}
	return t.end()
}

// follow polls an event until all its deliveries are over. The error says
// why not all of them are delivered.
func follow(ctx context.Context, api *client.Client, tenant, id string, wait time.Duration) ([]client.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var last []client.Delivery
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		e, err := api.Event(ctx, tenant, id)
		switch {
		case err == nil:
			last = e.Deliveries
		case ctx.Err() == nil:
			return last, err
		}
		if over(last) && err == nil {
			return last, verdict(last)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			continue
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return last, fail(exitInterrupted, "", "interrupted; the event is published and its deliveries go on")
		}
		return last, fail(exitUndelivered, "it is published, and goes on being retried", "not all deliveries are over after %s", wait)
	}
}

func over(all []client.Delivery) bool {
	for i := range all {
		if !all[i].Terminal() && all[i].State != client.Held {
			return false
		}
	}
	return true
}

func verdict(all []client.Delivery) error {
	if len(all) == 0 {
		return fail(exitUndelivered, "has the tenant an active endpoint that takes this type?", "no endpoint matched the event")
	}
	missed := 0
	for _, d := range all {
		if d.State != client.Delivered {
			missed++
		}
	}
	if missed > 0 {
		return fail(exitUndelivered, "", "%d of %d deliveries did not arrive", missed, len(all))
	}
	return nil
}

// maxJSON bounds what is read as JSON; the server has its own limits.
const maxJSON = 128 << 20

// readJSON reads the value of a flag: JSON, @FILE, or - for standard input.
func readJSON(flag, arg string, stdin io.Reader) (json.RawMessage, error) {
	raw := []byte(arg)
	var err error
	if arg == "-" {
		raw, err = io.ReadAll(io.LimitReader(stdin, maxJSON))
	} else if file, ok := strings.CutPrefix(arg, "@"); ok {
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fail(exitUsage, fmt.Sprintf("write --%[1]s JSON, --%[1]s @FILE, or --%[1]s - for standard input", flag), "the %s cannot be read: %w", flag, err)
	}
	if !json.Valid(raw) {
		var v any
		return nil, fail(exitInvalid, fmt.Sprintf("quote it for the shell: --%s '{\"id\":1}'", flag), "the %s is not JSON: %w", flag, json.Unmarshal(raw, &v))
	}
	return raw, nil
}

// readProgram reads a jq program that a flag gives: as it is, of a file, or of standard input.
func readProgram(flag, arg string, stdin io.Reader) (string, error) {
	raw := []byte(arg)
	var err error
	if arg == "-" {
		raw, err = io.ReadAll(io.LimitReader(stdin, maxJSON))
	} else if file, ok := strings.CutPrefix(arg, "@"); ok {
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fail(exitUsage, fmt.Sprintf("write --%[1]s PROGRAM, --%[1]s @FILE, or --%[1]s - for standard input", flag), "the program cannot be read: %w", err)
	}
	program := strings.TrimSpace(string(raw))
	if program == "" {
		return "", fail(exitInvalid, "write one such as '.body.text = .event.type', or unset the field", "the program of --%s is empty", flag)
	}
	return program, nil
}
