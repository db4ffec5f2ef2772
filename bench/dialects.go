package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// dialectRate is how many events a second the scenario dialects publishes: few
// enough that no server is busy all the time, so that what is compared is the
// work for one event.
const dialectRate = 2000

// dialectEvents are events that fit a contract, by dialect family. Others get
// any event.
var dialectEvents = map[string]Stream{
	"customers1st": {Types: []string{"customer.updated"}},
	"propstack":    {Types: []string{"client_created"}},
	"smake":        {Types: []string{"order.shipped"}},
	"sixpark":      {Types: []string{"ACCOUNT_OPENED"}, Members: `"account":{"id":"1","url":"https://example.com/accounts/1"}`},
	"api2cart":     {Types: []string{"product.update"}, Metadata: `{"store_id":"1"}`},
}

// allTypes are the families whose endpoints get every event and cannot choose.
var allTypes = map[string]bool{"sixpark": true}

// dialects measures pairs: the same events to one endpoint of a dialect and to
// one of standard, on fresh servers, in turns.
func dialects(ctx context.Context, r *run) error {
	for _, name := range r.Dialects {
		family, _, _ := strings.Cut(name, "@")
		stream, ok := dialectEvents[family]
		if !ok {
			stream.Types = []string{eventType(0)}
		}
		stream.Tenant, stream.Size, stream.Connections, stream.Rate = tenant, r.Size, r.Connections, orDefault(r.Rate, dialectRate)
		cost := map[string]float64{}
		measure := func(d string) func() error {
			return func() error {
				r.progress.note("dialects: %s, of the pair %s", d, name)
				w, err := r.dialect(ctx, d, stream)
				if err != nil {
					return fmt.Errorf("%s: %w", d, err)
				}
				w.faults(r.figures)
				cost[d] = w.cost()
				return nil
			}
		}
		if err := r.inTurn(measure("standard"), measure(name)); err != nil {
			return err
		}
		r.add(name+", server CPU", "µs/event", cost[name])
		r.add("standard beside "+name, "µs/event", cost["standard"])
		r.add(name+" ÷ standard", "", cost[name]/cost["standard"])
	}
	return nil
}

// dialect measures one window of one dialect.
func (r *run) dialect(ctx context.Context, name string, stream Stream) (*window, error) {
	x, err := r.newSite(ctx, sitePlan{})
	if err != nil {
		return nil, err
	}
	defer x.end()
	if _, err := x.start(ctx, startPatience); err != nil {
		return nil, err
	}
	if err := x.call(ctx, http.MethodPut, "/v1/tenants/"+tenant, map[string]string{"dialect": name}, nil); err != nil {
		return nil, err
	}
	in := map[string]any{"url": x.url("ok/0", 0), "event_types": stream.Types}
	if family, _, _ := strings.Cut(name, "@"); allTypes[family] {
		in["event_types"] = []string{}
	}
	if family, _, _ := strings.Cut(name, "@"); family == "propstack" || family == "smake" {
		in["secret"] = "a secret, so that it signs" // which these do without as well
	}
	if err := x.call(ctx, http.MethodPost, "/v1/tenants/"+tenant+"/endpoints", in, nil); err != nil {
		return nil, err
	}
	if err := r.warm(ctx, x, []Stream{stream}); err != nil {
		return nil, err
	}
	return r.measure(ctx, x, loadPlan{streams: []Stream{stream}, duration: r.Duration})
}
