package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/convert"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// The limits of what a program makes: it is kept in memory and, if it has to be sent
// again, with its delivery.
const (
	maxTransformed     = 1 << 20 // bytes of a body
	maxTransformedHead = 8 << 10 // bytes of names and values of headers
)

// Programs runs the programs of tenants. *convert.Guests is one.
type Programs interface {
	Run(ctx context.Context, tenant, program string, data []byte) ([]byte, error)
}

// rendered is what is made of an event for an endpoint, besides what an attempt adds.
type rendered struct {
	body   []byte
	header []hook.Header // that programs have made
}

// transformation is a program that bodies go through: as it was when the event was
// matched, and as it is now.
type transformation struct {
	of        string // whose it is, for a sentence
	then, now string
	run       func(ctx context.Context, program string, data []byte) ([]byte, error)
}

// transforms reports whether there may be programs for an endpoint's requests.
func (p *Pins) transforms(event *hook.Event, e *hook.Endpoint) bool {
	if e.Transform != "" || len(e.PastTransforms) > 0 {
		return true
	}
	if p == nil || p.Types == nil {
		return false
	}
	t, ok := p.Types.TypeRecord(event.Type)
	return ok && (t.Transform != "" || len(t.PastTransforms) > 0)
}

// transform sends a body through the program of its event's type, and through that of
// its endpoint. The error is a sentence for the endpoint's owner.
func (p *Pins) transform(ctx context.Context, d *dialect.Dialect, in *dialect.Input, at int64, body []byte) (rendered, error) {
	out := rendered{body: body}
	if in.Endpoint == nil || hook.Operational(in.Event.Type) || len(body) == 0 || !p.transforms(in.Event, in.Endpoint) {
		return out, nil
	}
	for _, t := range p.transformations(in, at) {
		made, err := t.apply(ctx, d, in, out)
		if err != nil {
			return rendered{}, err
		}
		out = made
	}
	return out, nil
}

func (p *Pins) transformations(in *dialect.Input, at int64) (all []transformation) {
	if p.Types != nil {
		if t, ok := p.Types.TypeRecord(in.Event.Type); ok {
			all = append(all, transformation{"the event type", hook.AsOf(t.Transform, t.PastTransforms, at), t.Transform,
				func(ctx context.Context, program string, data []byte) ([]byte, error) {
					return p.converters().Run(ctx, []string{program}, data)
				}})
		}
	}
	e := in.Endpoint
	return append(all, transformation{"the endpoint", hook.AsOf(e.Transform, e.PastTransforms, at), e.Transform,
		func(ctx context.Context, program string, data []byte) ([]byte, error) {
			if p.Programs == nil {
				return p.inProcess.Run(ctx, []string{program}, data)
			}
			return p.Programs.Run(ctx, e.Tenant, program, data)
		}})
}

// apply runs the program of the event's time and, where that fails, the present one, for
// that is how a mistake in it is mended.
func (t *transformation) apply(ctx context.Context, d *dialect.Dialect, in *dialect.Input, from rendered) (rendered, error) {
	if t.then == "" || !d.JSONBody() {
		return from, nil
	}
	made, err := t.once(ctx, t.then, d, in, from)
	if err == nil || errors.As(err, new(errLater)) || t.now == t.then {
		return made, err
	}
	if t.now == "" {
		return from, nil
	}
	again, wrong := t.once(ctx, t.now, d, in, from)
	if wrong != nil && !errors.As(wrong, new(errLater)) {
		return rendered{}, err
	}
	return again, wrong
}

func (t *transformation) once(ctx context.Context, program string, d *dialect.Dialect, in *dialect.Input, from rendered) (rendered, error) {
	given, err := programInput(in, from)
	if err != nil {
		return rendered{}, err
	}
	result, err := t.run(ctx, program, given)
	var failed *convert.StepError
	switch {
	case errors.As(err, &failed):
		return rendered{}, t.failed(failed.Err)
	case err != nil:
		return rendered{}, errLater{err}
	}
	made, err := programOutput(d, result)
	if err != nil {
		return rendered{}, t.failed(err)
	}
	return made, nil
}

func (t *transformation) failed(err error) error {
	return fmt.Errorf("the transformation of %s failed: %w", t.of, err)
}

// programInput is what a program is given: the body as it is so far, and what it is
// made of. All of it is as the event was matched, so that the same comes out each time.
func programInput(in *dialect.Input, from rendered) ([]byte, error) {
	headers := map[string]string{}
	for _, h := range from.header {
		headers[h.Name] = h.Value
	}
	data := in.Data
	if data == nil {
		data = in.Event.Data
	}
	type object struct {
		ID string `json:"id"`
	}
	type event struct {
		ID       string          `json:"id"`
		Type     string          `json:"type"`
		Time     time.Time       `json:"time"`
		Data     json.RawMessage `json:"data"`
		Previous json.RawMessage `json:"previous"`
		Metadata json.RawMessage `json:"metadata"`
	}
	text, err := json.Marshal(struct {
		Body     json.RawMessage   `json:"body"`
		Headers  map[string]string `json:"headers"`
		Event    event             `json:"event"`
		Tenant   object            `json:"tenant"`
		Endpoint object            `json:"endpoint"`
	}{
		from.body, headers,
		event{in.Event.ID.String(), in.Event.Type, in.Event.Time.UTC(), orNull(data), orNull(in.Event.Previous), orNull(in.Event.Metadata)},
		object{in.Endpoint.Tenant}, object{in.Endpoint.ID},
	})
	if err != nil {
		return nil, errors.New("the body is no JSON, so that no transformation can read it: " + err.Error())
	}
	return text, nil
}

func orNull(text []byte) json.RawMessage {
	if len(text) == 0 {
		return json.RawMessage("null")
	}
	return text
}

// programOutput reads what a program has made: an object with body, and headers if it
// wants. What it was given beside these may still be there.
func programOutput(d *dialect.Dialect, result []byte) (out rendered, err error) {
	var members map[string]json.RawMessage
	if jsontext.Value(result).Kind() != '{' || json.Unmarshal(result, &members) != nil {
		return out, errors.New(`the result is no object; it must be one such as {"body": …, "headers": {…}}`)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch name {
		case "body", "headers", "event", "tenant", "endpoint":
		default:
			return out, fmt.Errorf("the result has a member %q; it may have body and headers", hook.Clip(name))
		}
	}
	body, ok := members["body"]
	if !ok {
		return out, errors.New("the result has no body")
	}
	if len(body) > maxTransformed {
		return out, fmt.Errorf("the body has %d bytes, at most %d are allowed", len(body), maxTransformed)
	}
	if out.header, err = headersMade(d, members["headers"]); err != nil {
		return rendered{}, err
	}
	out.body = bytes.Clone(body)
	return out, nil
}

// headersMade reads headers, which keep to the rules of those that people set.
func headersMade(d *dialect.Dialect, text json.RawMessage) (out []hook.Header, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	var headers map[string]*string
	if json.Unmarshal(text, &headers) != nil {
		return nil, errors.New("headers is no object of texts")
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		switch value := headers[name]; {
		case value == nil:
			return nil, fmt.Errorf("the header %s is null; it must be a text", hook.Clip(name))
		case hook.Confidential(name):
			return nil, fmt.Errorf("the header %s is a credential, which no program makes: it belongs to the endpoint's headers or auth", hook.Clip(name))
		default:
			out = append(out, hook.Header{Name: name, Value: *value})
		}
	}
	if err := d.CheckExtra(out); err != nil {
		return nil, err
	}
	size := 0
	for _, h := range out {
		size += len(h.Name) + len(h.Value)
	}
	if size > maxTransformedHead {
		return nil, fmt.Errorf("the headers have %d bytes, at most %d are allowed", size, maxTransformedHead)
	}
	return out, nil
}

// overlaid are headers of an endpoint's with those that programs have made in the place
// of others of the same name.
func overlaid(of, made []hook.Header) []hook.Header {
	if len(made) == 0 {
		return of
	}
	out := slices.DeleteFunc(slices.Clone(of), func(h hook.Header) bool {
		return slices.ContainsFunc(made, func(m hook.Header) bool { return strings.EqualFold(m.Name, h.Name) })
	})
	return append(out, made...)
}
