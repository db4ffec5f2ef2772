package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"grapnel/internal/convert"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// Pins is what shapes a body besides the event, its endpoint and its tenant, as
// it is and as it was: an event's bodies are made with what there was when it
// was matched (design: life 2). nil: nothing was ever different.
type Pins struct {
	// Types finds event types, deleted ones included.
	Types interface {
		TypeRecord(name string) (*hook.EventType, bool)
	}
	URLs     []hook.Past[string]                 // earlier public URLs
	Dialects map[string][]hook.Past[PastDialect] // earlier texts of dialect files, by name

	// Converters runs the programs of event types; nil: they run in this process.
	Converters convert.Runner
	// Programs runs the programs of endpoints; nil: they run in this process.
	Programs Programs

	inProcess convert.InProcess
	mu        sync.RWMutex // guards URLs and Dialects once others may call
}

// Renew takes what there is of URLs and Dialects now, while bodies are made.
func (p *Pins) Renew(urls []hook.Past[string], dialects map[string][]hook.Past[PastDialect]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.URLs, p.Dialects = urls, dialects
}

// asOf is what URL and dialect were at a revision, which are url and d now.
func (p *Pins) asOf(at int64, url string, d *dialect.Dialect) (string, PastDialect) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return hook.AsOf(url, p.URLs, at), hook.AsOf(PastDialect{Dialect: d}, p.Dialects[d.Name()], at)
}

// PastDialect is an earlier text of a dialect file. Err says why this program
// cannot read it.
type PastDialect struct {
	Dialect *dialect.Dialect
	Err     error
}

// render makes the body of an event for an endpoint of the dialect d, and the headers that
// programs add. The error is a sentence for the endpoint's owner; an errLater says nothing
// about the event.
func (p *Pins) render(ctx context.Context, d *dialect.Dialect, publicURL string, event *hook.Event, e *hook.Endpoint, t *hook.Tenant) (rendered, error) {
	at := event.Revision
	if at == 0 {
		at = math.MaxInt64 // an event that was never stored is of now
	}
	in := dialect.Input{
		Event: event, Endpoint: e, Tenant: t, Fields: hook.AsOf(e.Fields, e.PastFields, at), Number: numberOf(event, e.Num), PublicURL: publicURL,
	}
	if p != nil {
		var past PastDialect
		in.PublicURL, past = p.asOf(at, publicURL, d)
		if past.Err != nil {
			return rendered{}, fmt.Errorf("the dialect %s as it was at the time of the event cannot be read any more: %w", d.Name(), past.Err)
		}
		d = past.Dialect
		if err := p.convert(ctx, &in, at); err != nil {
			return rendered{}, err
		}
	}
	if d.ReadsSettings() {
		settingsAsOf(&in, at)
	}
	body, err := d.Body(in)
	if err != nil {
		return rendered{}, errors.New("the body cannot be rendered: " + err.Error())
	}
	if p == nil {
		return rendered{body: body}, nil
	}
	return p.transform(ctx, d, &in, at, body)
}

// settingsAsOf gives the endpoint and the tenant the settings of a revision.
func settingsAsOf(in *dialect.Input, at int64) {
	if e := in.Endpoint; e != nil && len(e.PastSettings) > 0 {
		then := *e
		then.Settings = hook.AsOf(e.Settings, e.PastSettings, at)
		in.Endpoint = &then
	}
	if t := in.Tenant; t != nil && len(t.PastSettings) > 0 {
		then := *t
		then.Settings = hook.AsOf(t.Settings, t.PastSettings, at)
		in.Tenant = &then
	}
}

// numberOf is the number of an event's delivery to an endpoint; 0 if it has
// none.
func numberOf(event *hook.Event, endpoint hook.EndpointNum) int64 {
	i, ok := slices.BinarySearchFunc(event.Targets, endpoint, func(t hook.Target, num hook.EndpointNum) int { return int(t.Endpoint - num) })
	if !ok || event.Number == 0 {
		return 0
	}
	return event.Number + int64(i)
}

// convert makes the data of the shape that the tenant's API version asked for at
// a revision. Where the converters of then fail, those of now are tried: they
// are how a mistake in them is mended.
func (p *Pins) convert(ctx context.Context, in *dialect.Input, at int64) error {
	if in.Tenant == nil || p.Types == nil {
		return nil
	}
	version := hook.AsOf(in.Tenant.APIVersion, in.Tenant.PastAPIVersions, at)
	if version == "" || hook.Operational(in.Event.Type) {
		return nil
	}
	t, ok := p.Types.TypeRecord(in.Event.Type)
	if !ok {
		return nil
	}
	then := hook.AsOf(t.Versions, t.PastVersions, at)
	err := p.run(ctx, in, hook.VersionsFor(then, version))
	if err == nil || errors.As(err, new(errLater)) || slices.Equal(then, t.Versions) || t.Deleted {
		return err
	}
	now := p.run(ctx, in, hook.VersionsFor(t.Versions, version))
	if now != nil && !errors.As(now, new(errLater)) {
		return err
	}
	return now
}

// errLater is that a body could not be made now, for no fault of what it is made
// of.
type errLater struct{ error }

// Unwrap is why.
func (e errLater) Unwrap() error { return e.error }

// run sends the data, and the object before the change, through the steps to a
// version. in is changed only if all goes well.
func (p *Pins) run(ctx context.Context, in *dialect.Input, steps []hook.TypeVersion) error {
	if len(steps) == 0 {
		return nil
	}
	runner := p.converters()
	programs := make([]string, len(steps))
	for i, s := range steps {
		programs[i] = s.Convert
	}
	event := *in.Event
	for _, data := range []*[]byte{&event.Data, &event.Previous} {
		if len(*data) == 0 {
			continue
		}
		converted, err := runner.Run(ctx, programs, *data)
		var failed *convert.StepError
		switch {
		case errors.As(err, &failed):
			return fmt.Errorf("the data cannot be converted to version %s: %w", steps[failed.Step].Version, err)
		case err != nil:
			return errLater{err}
		}
		*data = converted
	}
	in.Event, in.Data = &event, event.Data
	return nil
}

// converters runs the provider's programs.
func (p *Pins) converters() convert.Runner {
	if p.Converters == nil {
		return &p.inProcess
	}
	return p.Converters
}
