package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

const acmeReplays = "/v1/tenants/acme/replays"

// replayed is a channel of replays that have ended from now on.
func (b *bundle) replayed() <-chan *hook.Replay {
	over := make(chan *hook.Replay, 100)
	b.dir.Watch(func(c *store.Configuration) {
		for _, r := range c.Replays {
			if r.Over() {
				over <- r
			}
		}
	})
	return over
}

// failing publishes n events of a type and lets their deliveries to an
// endpoint end as failed. It returns the deliveries, oldest first.
func (b *bundle) failing(n int, eventType, endpoint string) (ids []string) {
	b.t.Helper()
	for range n {
		event := b.publish("acme", fmt.Sprintf(`{"type":%q,"data":1}`, eventType))
		b.attempt(event, endpoint, hook.Attempt{N: 1, At: time.Now(), Status: 500, State: hook.Failed})
		id, err := hook.ParseEventID(event)
		must(b.t, err)
		e, _ := b.dir.EndpointByID("acme", endpoint)
		ids = append(ids, hook.DeliveryKey{Event: id, Endpoint: e.Num}.String())
	}
	return ids
}

func (b *bundle) states() map[string]string {
	b.t.Helper()
	out := map[string]string{}
	for _, d := range b.want(http.StatusOK, "GET", acmeDeliveries+"?limit=250", "").list("data") {
		out[d["id"].(string)] = d["state"].(string)
	}
	return out
}

func (b *bundle) wokenKeys() map[string]int {
	b.woken.mu.Lock()
	defer b.woken.mu.Unlock()
	out := map[string]int{}
	for _, k := range b.woken.keys {
		out[k.String()]++
	}
	return out
}

func TestReplay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	over := b.replayed()
	b.want(http.StatusCreated, "PUT", "/v1/tenants/acme/endpoints/main", `{"url":"https://example.com/","event_types":["a.b","c"]}`)
	other := b.endpoint("acme", `{"url":"https://example.com/2","event_types":["d"]}`)
	paid, rest, foreign := b.failing(3, "a.b", "main"), b.failing(2, "c", "main"), b.failing(2, "d", other)

	const filter = `{"endpoint":"main","types":["a.*"],"since":"2026-01-01T00:00:00Z","until":"2999-01-01T00:00:00Z"`
	for _, dry := range []*answer{
		b.want(http.StatusOK, "POST", acmeReplays+"?dry_run=true", filter+`}`), b.want(http.StatusOK, "POST", acmeReplays, filter+`,"dry_run":true}`),
	} {
		if j := dry.json(); j["count"] != 3.0 || j["exact"] != true || j["dry_run"] != true || dry.text("oldest") > dry.text("newest") {
			t.Error(dry.body)
		}
	}
	if len(b.wokenKeys()) != 0 {
		t.Error("a dry run sent something")
	}
	a := b.want(http.StatusAccepted, "POST", acmeReplays, filter+`}`)
	path := acmeReplays + "/" + a.text("id")
	if a.text("state") != "running" || a.text("tenant") != "acme" {
		t.Error(a.body)
	}
	if r := <-over; r.State != hook.ReplayDone || r.Total != 3 || r.Redelivered != 3 || r.Skipped+r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	got := b.want(http.StatusOK, "GET", path, "")
	if got.text("state") != "done" || got.json()["total"] != 3.0 || got.json()["redelivered"] != 3.0 || got.text("finished_at") == "" {
		t.Error(got.body)
	}
	want := map[string]any{"endpoint": "main", "types": []any{"a.*"}, "states": []any{"failed"}, "since": "2026-01-01T00:00:00.000Z", "until": "2999-01-01T00:00:00.000Z"}
	if diff := cmp.Diff(want, got.json()["filter"]); diff != "" {
		t.Error(diff)
	}
	woken := b.wokenKeys()
	for _, id := range paid {
		if b.states()[id] != "pending" || woken[id] != 1 {
			t.Errorf("%s is %s, dispatch was told %d times", id, b.states()[id], woken[id])
		}
	}
	for _, id := range append(rest, foreign...) {
		if b.states()[id] != "failed" || woken[id] != 0 {
			t.Errorf("%s was sent although the filter leaves it out", id)
		}
	}
	// By state alone, the oldest only.
	b.want(http.StatusAccepted, "POST", acmeReplays, `{"states":["failed","cancelled"],"limit":2}`)
	if r := <-over; r.Total != 2 || r.Redelivered != 2 || b.states()[rest[1]] != "pending" || b.states()[foreign[0]] != "failed" {
		t.Errorf("%+v", r)
	}
	if ids := b.want(http.StatusOK, "GET", acmeReplays, "").ids(); len(ids) != 2 || ids[0] != a.text("id") {
		t.Errorf("%v", ids)
	}
	b.want(http.StatusNotFound, "GET", "/v1/tenants/other/replays/"+a.text("id"), "")
	b.want(http.StatusNotFound, "GET", acmeReplays+"/rpl_none", "")
	if c := b.want(http.StatusOK, "POST", path+"/cancel", ""); c.text("state") != "done" { // it is over
		t.Error(c.body)
	}
}

func TestReplayRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, pointer := range map[string]string{
		`{}`: "", `{"limit":5}`: "", `{"endpoint":"none"}`: "/endpoint", `{"types":["a*"]}`: "/types/0", `{"states":["failed","gone"]}`: "/states/1",
		`{"since":"yesterday"}`: "/since", `{"until":"2026-01-01T00:00:00Z","since":"2026-01-01T00:00:00Z"}`: "/until", `{"states":["failed"],"limit":0}`: "/limit",
		`{"state":["failed"]}`: "/state", `{"since":1}`: "/since",
	} {
		for _, query := range []string{"", "?dry_run=true"} {
			if a := b.want(http.StatusBadRequest, "POST", acmeReplays+query, body); a.pointer() != pointer {
				t.Errorf("%s: %s", body, a.body)
			}
		}
	}
	if n := len(b.want(http.StatusOK, "GET", acmeReplays, "").list("data")); n != 0 {
		t.Errorf("%d replays", n)
	}
	// Too many at once: none runs while nobody works on them.
	b.replayer.Stop()
	for range 20 {
		b.want(http.StatusAccepted, "POST", acmeReplays, `{"states":["failed"]}`)
	}
	b.want(http.StatusConflict, "POST", acmeReplays, `{"states":["failed"]}`)
}

// What cannot be sent is skipped and counted.
func TestReplaySkips(t *testing.T) {
	t.Parallel()
	b := setup(t)
	over := b.replayed()
	gone, kept := b.endpoint("acme", `{"url":"https://example.com/1","event_types":["a"]}`), b.endpoint("acme", `{"url":"https://example.com/2"}`)
	lost := b.failing(2, "a", gone)
	sent := b.failing(3, "b", kept)
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/acme/endpoints/"+gone, "")
	b.want(http.StatusAccepted, "POST", acmeReplays, `{"since":"2026-01-01T00:00:00Z"}`)
	if r := <-over; r.Total != 5 || r.Redelivered != 3 || r.Skipped != 2 || b.states()[lost[0]] != "failed" || b.states()[sent[2]] != "pending" {
		t.Errorf("%+v", r)
	}
	// What is on its way already is left to go its way.
	b.want(http.StatusAccepted, "POST", acmeReplays, `{"states":["pending"],"types":["a"]}`)
	if r := <-over; r.Total != 2 || r.Redelivered != 0 || r.Skipped != 2 { // those of the endpoint that is left, never tried
		t.Errorf("%+v", r)
	}
}

// replayerOver makes a second replayer, as a new process would, maybe over a
// configurator of the test's.
func (b *bundle) replayerOver(c store.Configurator) *manage.Replayer {
	b.t.Helper()
	config := b.manager.Config
	if c != nil {
		config.Store = c
	}
	m, err := manage.New(config)
	must(b.t, err)
	r, err := manage.NewReplayer(manage.ReplayConfig{Manager: m, Log: b.store, Wake: b.woken.Wake})
	must(b.t, err)
	b.t.Cleanup(r.Stop)
	return r
}

// A replay goes on with the next process. What was published after it was made
// is not in it, whenever it runs.
func TestReplayGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	over := b.replayed()
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	b.failing(450, "a", endpoint) // three batches
	b.replayer.Stop()
	a := b.want(http.StatusAccepted, "POST", acmeReplays, `{"states":["failed"]}`)
	if a.json()["total"] != nil {
		t.Error(a.body)
	}
	later := b.failing(1, "a", endpoint)
	b.replayerOver(nil).Start()
	if r := <-over; r.Total != 450 || r.Redelivered != 450 || r.State != hook.ReplayDone {
		t.Errorf("%+v", r)
	}
	if b.wokenKeys()[later[0]] != 0 {
		t.Error("what came later was replayed")
	}
}

// dying is a configurator of a process that dies before it notes a batch.
type dying struct {
	store.Configurator
	alive atomic.Int64 // changes that it still stores
	dead  chan struct{}
}

func (d *dying) Configure(ctx context.Context, c *store.Change) (int64, error) {
	if d.alive.Add(-1) < 0 {
		close(d.dead) // once: the replay waits long before it tries again
		return 0, store.ErrUnavailable
	}
	return d.Configurator.Configure(ctx, c)
}

// A process that dies between a batch and the note of its end: nothing of the
// batch is sent twice, though it is gone through again, and all of it counts.
// What it sent has been delivered meanwhile, and the filter takes delivered
// ones.
func TestReplayKilledBehindABatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	over := b.replayed()
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	ids := b.failing(30, "a", endpoint)
	b.replayer.Stop()
	b.want(http.StatusAccepted, "POST", acmeReplays, `{"states":["failed","delivered"]}`)
	d := &dying{Configurator: b.store, dead: make(chan struct{})}
	d.alive.Store(2) // the count, and the batch before it is begun
	first := b.replayerOver(d)
	first.Start()
	<-d.dead
	first.Stop()
	for _, id := range ids {
		if b.wokenKeys()[id] != 1 {
			t.Fatalf("%s was not sent before the end", id)
		}
	}
	for _, id := range ids[:20] {
		key, err := hook.ParseDeliveryKey(id)
		must(t, err)
		b.attempt(key.Event.String(), endpoint, hook.Attempt{N: 2, At: time.Now(), Status: 200, State: hook.Delivered})
	}
	b.replayerOver(nil).Start()
	if r := <-over; r.State != hook.ReplayDone || r.Total != 30 || r.Redelivered != 30 || r.Skipped != 0 {
		t.Errorf("%+v", r)
	}
	for id, n := range b.wokenKeys() {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}

func TestCancelReplay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	b.failing(3, "a", endpoint)
	b.replayer.Stop()
	id := b.want(http.StatusAccepted, "POST", acmeReplays, `{"states":["failed"]}`).text("id")
	a := b.want(http.StatusOK, "POST", acmeReplays+"/"+id+"/cancel", "")
	if a.text("state") != "cancelled" || a.text("reason") != "cancelled by request" || a.text("finished_at") == "" {
		t.Error(a.body)
	}
	other := b.want(http.StatusAccepted, "POST", acmeReplays, `{"states":["failed"]}`).text("id")
	b.want(http.StatusNotFound, "POST", acmeReplays+"/rpl_none/cancel", "")
	over := b.replayed()
	b.replayerOver(nil).Start()
	if r := <-over; r.ID != other || r.Redelivered != 3 {
		t.Errorf("%+v", r)
	}
	if got := b.want(http.StatusOK, "GET", acmeReplays+"/"+id, ""); got.text("state") != "cancelled" || got.json()["redelivered"] != 0.0 {
		t.Error(got.body)
	}
	// A tenant's replays go with it.
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/acme", "")
	b.want(http.StatusCreated, "PUT", "/v1/tenants/acme", "")
	if n := len(b.want(http.StatusOK, "GET", acmeReplays, "").list("data")); n != 0 {
		t.Errorf("%d replays of the old tenant", n)
	}
}

// unreadable is a log whose deliveries can only be listed.
type unreadable struct{ store.Reader }

func (unreadable) Delivery(context.Context, hook.TenantNum, hook.DeliveryKey) (*hook.Delivery, error) {
	return nil, store.ErrNotFound
}

func TestCancelEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.endpoint("acme", `{"url":"https://example.com/1"}`)
	b.endpoint("acme", `{"url":"https://example.com/2"}`)
	held := b.endpoint("acme", `{"url":"https://example.com/3","state":"paused"}`)
	event := b.publish("acme", `{"id":"mine","type":"a","data":1}`)
	b.attempt(event, first, hook.Attempt{N: 1, At: time.Now(), Status: 200, State: hook.Delivered})
	if a := b.want(http.StatusOK, "POST", acmeEvents+"/mine/cancel", ""); a.body != `{"cancelled":2}` {
		t.Error(a.body)
	}
	states := map[string]string{}
	for _, d := range b.want(http.StatusOK, "GET", acmeEvents+"/"+event, "").list("deliveries") {
		states[d["endpoint"].(string)] = fmt.Sprint(d["state"], " ", d["reason"])
	}
	if states[first] != "delivered <nil>" || states[held] != "cancelled cancelled by request" {
		t.Errorf("%v", states)
	}
	if a := b.want(http.StatusOK, "POST", acmeEvents+"/"+event+"/cancel", ""); a.body != `{"cancelled":0}` {
		t.Error(a.body)
	}
	many := setup(t, func(c *api.Config) { c.Reader = unreadable{c.Reader} })
	for i := range 5 {
		many.endpoint("acme", fmt.Sprintf(`{"url":"https://example.com/%d"}`, i))
	}
	many.publish("acme", `{"id":"many","type":"a","data":1}`)
	if a := many.want(http.StatusOK, "POST", acmeEvents+"/many/cancel", ""); a.body != `{"cancelled":5}` {
		t.Error(a.body)
	}
	b.want(http.StatusNotFound, "POST", acmeEvents+"/none/cancel", "")
	b.want(http.StatusNotFound, "POST", "/v1/tenants/other/events/"+event+"/cancel", "")
	b.want(http.StatusBadRequest, "POST", acmeEvents+"/mine/cancel", `{"all":true}`)
}

// A replay of named events takes their deliveries alone, whatever lies between.
func TestReplayOfEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	over := b.replayed()
	e := b.endpoint("acme", `{"url":"https://example.com/1"}`)
	f := b.endpoint("acme", `{"url":"https://example.com/2"}`)
	var events []string
	for i := range 4 {
		id := b.publish("acme", fmt.Sprintf(`{"id":"mine-%d","type":"a","data":1}`, i))
		for _, endpoint := range []string{e, f} {
			b.attempt(id, endpoint, hook.Attempt{N: 1, At: time.Now(), Status: 500, State: hook.Failed})
		}
		events = append(events, id)
	}
	body := `{"events":["mine-3","` + events[1] + `","mine-1"],"rate":1000}`
	if dry := b.want(http.StatusOK, "POST", acmeReplays+"?dry_run=true", body); dry.json()["count"] != 4.0 {
		t.Error(dry.body)
	}
	a := b.want(http.StatusAccepted, "POST", acmeReplays, body)
	if r := <-over; r.State != hook.ReplayDone || r.Total != 4 || r.Redelivered != 4 {
		t.Errorf("%+v", r)
	}
	if got := b.want(http.StatusOK, "GET", acmeReplays+"/"+a.text("id"), ""); !strings.Contains(got.body, `"events":["`+events[1]+`","`+events[3]+`"]`) || got.json()["rate"] != 1000.0 {
		t.Error(got.body)
	}
	pending := 0
	for _, state := range b.states() {
		if state == "pending" {
			pending++
		}
	}
	if pending != 4 {
		t.Errorf("%d deliveries are pending: %v", pending, b.states())
	}
	b.want(http.StatusAccepted, "POST", acmeReplays, `{"events":["mine-0"],"endpoint":"`+e+`"}`)
	if r := <-over; r.Redelivered != 1 {
		t.Errorf("%+v", r)
	}
	many := `["` + strings.Repeat(`x","`, 1000) + `x"]`
	for body, pointer := range map[string]string{
		`{"events":["mine-0","none"]}`: "/events/1", `{"events":` + many + `}`: "/events", `{"states":["failed"],"rate":0}`: "/rate", `{"states":["failed"],"rate":-1}`: "/rate",
		`{"states":["failed"],"rate":1e9}`: "/rate", `{"events":[]}`: "",
	} {
		if a := b.want(http.StatusBadRequest, "POST", acmeReplays, body); a.pointer() != pointer {
			t.Errorf("%.60s: %s", body, a.body)
		}
	}
}
