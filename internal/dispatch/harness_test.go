package dispatch_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"grapnel/internal/dialect"
	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/store"
)

// TestMain lets the random tests try fewer cases than usual, for each plays minutes of
// several servers; -rapid.checks says otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "30"); err != nil {
			os.Exit(2)
		}
	}
	goleak.VerifyTestMain(m)
}

// Contracts without jitter: one holds what waits for an inactive endpoint, one
// cancels it, and one has a deadline besides.
const contract = `
title: Test
request:
  timeout: 10s
  headers:
    content-type: application/json
    User-Agent: Test
    webhook-id: "{event.id}"
    webhook-timestamp: "{attempt.unix}"
  body: {json: {data: "{event.data}"}}
subscription: any
secret: {owner: endpoint, made: always, forms: [text]}
sign:
  - header: signature
    over: "{event.id}.{attempt.unix}.{body}"
    with: [{key: text, algorithm: hmac-sha256, encoding: hex, text: "{signature}"}]
    join: " "
success: [2xx]
retry: {on: any, waits: [1s, 10s, 1m, 1h, 10h], retry_after_max: 24h}
answers: {disable: [410], throttle: [429]}
on_inactive: `

func registry(t testing.TB) *dialect.Registry {
	t.Helper()
	var all []*dialect.Dialect
	for name, rule := range map[string]string{"holds": "hold", "cancels": "cancel"} {
		d, err := dialect.Load(name, []byte("name: "+name+contract+rule+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	d, err := dialect.Load("ends", []byte(strings.Replace("name: ends"+contract+"hold\n", "retry_after_max", "deadline: 15h, retry_after_max", 1)))
	if err != nil {
		t.Fatal(err)
	}
	asks, err := dialect.Load("asks", []byte(strings.Replace("name: asks"+contract+"hold\n", "success: [2xx]", "success: [2xx]\nsuccess_body: taken", 1)))
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, d, asks)
	r, err := dialect.NewRegistry(all...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// book is a directory that the test writes.
type book struct {
	mu        sync.RWMutex
	endpoints map[hook.EndpointNum]*hook.Endpoint
	tenants   map[hook.TenantNum]*hook.Tenant
	watchers  []func(*store.Configuration)
}

func (b *book) Endpoint(num hook.EndpointNum) (*hook.Endpoint, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e, ok := b.endpoints[num]
	return e, ok
}

func (b *book) TenantByNum(num hook.TenantNum) (*hook.Tenant, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	t, ok := b.tenants[num]
	return t, ok
}

func (b *book) Watch(f func(*store.Configuration)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers = append(b.watchers, f)
}

// request is what an endpoint saw.
type request struct {
	at       time.Time
	endpoint hook.EndpointNum
	id       string
	body     [32]byte
	sig      string
	token    string
	made     string // the header X-Made
}

// world is a dispatcher with everything around it.
type world struct {
	t     testing.TB
	d     *dispatch.Dispatcher
	queue *memory
	book  *book
	ring  *keyring.Ring
	tune  func(*dispatch.Config)
	base  string // of all URLs

	mu       sync.Mutex
	answer   map[hook.EndpointNum]func(ctx context.Context, n int) *egress.Result // n counts the endpoint's requests
	requests []request
	running  map[hook.EndpointNum]int
	peak     map[hook.EndpointNum]int
	count    map[hook.EndpointNum]int
	actions  []string
}

// newWorld makes a world that is not started, with endpoints 1 to n, each of
// the tenant of its number's tens.
func newWorld(t testing.TB, n int) *world {
	t.Helper()
	ring, err := keyring.Open(keyring.Source{Env: base64.StdEncoding.EncodeToString(make([]byte, 32))})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, queue: newMemory(t), ring: ring,
		book:    &book{endpoints: map[hook.EndpointNum]*hook.Endpoint{}, tenants: map[hook.TenantNum]*hook.Tenant{}},
		answer:  map[hook.EndpointNum]func(context.Context, int) *egress.Result{},
		running: map[hook.EndpointNum]int{}, peak: map[hook.EndpointNum]int{}, count: map[hook.EndpointNum]int{},
	}
	for i := range n {
		num := hook.EndpointNum(i + 1)
		w.put(&hook.Endpoint{Num: num, TenantNum: tenantOf(num), Dialect: "holds", State: hook.EndpointActive})
	}
	w.make()
	return w
}

func tenantOf(num hook.EndpointNum) hook.TenantNum { return hook.TenantNum(num)/10 + 1 }

// put adds or replaces an endpoint, without telling anyone.
func (w *world) put(e *hook.Endpoint) {
	w.t.Helper()
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	name := strconv.Itoa(int(e.TenantNum))
	if w.book.tenants[e.TenantNum] == nil {
		w.book.tenants[e.TenantNum] = &hook.Tenant{ID: name, Num: e.TenantNum}
	}
	e.Tenant, e.ID, e.URL = name, "ep_"+strconv.Itoa(int(e.Num)), w.base+strconv.Itoa(int(e.Num))
	if e.Secrets == nil {
		e.Secrets = []hook.EndpointSecret{{Sealed: w.seal(e, "a secret of an endpoint")}}
	}
	w.book.endpoints[e.Num] = e
}

func (w *world) seal(e *hook.Endpoint, s hook.Secret) hook.Sealed {
	sealed, err := w.ring.Seal(s, e.Tenant, e.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return sealed
}

// change replaces an endpoint by a changed copy and tells the watchers.
func (w *world) change(num hook.EndpointNum, f func(*hook.Endpoint)) {
	w.t.Helper()
	old, _ := w.book.Endpoint(num)
	e := *old
	f(&e)
	w.put(&e)
	w.book.mu.RLock()
	watchers := w.book.watchers
	w.book.mu.RUnlock()
	for _, f := range watchers {
		f(&store.Configuration{Endpoints: []*hook.Endpoint{&e}})
	}
}

// make makes a new dispatcher on the same store, as a new process would.
func (w *world) make() {
	w.t.Helper()
	w.book.mu.Lock()
	w.book.watchers = nil
	w.book.mu.Unlock()
	c := dispatch.Config{
		Queue: w.queue, Lease: w.queue.restart(), Directory: w.book, Dialects: registry(w.t), Egress: w, Ring: w.ring, Manager: w,
		Logger: slog.New(slog.DiscardHandler), Wide: 2,
	}
	if w.tune != nil {
		w.tune(&c)
	}
	d, err := dispatch.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.d = d
}

func (w *world) start() {
	w.t.Helper()
	if err := w.d.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	w.t.Helper()
	if err := w.d.Stop(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// publish stores an event and offers it, as ingest does.
func (w *world) publish(endpoints ...hook.EndpointNum) *hook.Event {
	e := w.store(endpoints...)
	w.d.Offer([]*hook.Event{e})
	return e
}

// store stores an event without offering it.
func (w *world) store(endpoints ...hook.EndpointNum) *hook.Event {
	return w.queue.append(tenantOf(endpoints[0]), `{"n":1}`, endpoints...)
}

// answers sets how an endpoint answers from now on.
func (w *world) answers(num hook.EndpointNum, f func(ctx context.Context, n int) *egress.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer[num] = f
}

// Do is the network: an answer of 200 in one millisecond unless the test says
// otherwise.
func (w *world) Do(ctx context.Context, r *egress.Request) *egress.Result {
	at := time.Now()
	n, _ := strconv.Atoi(strings.TrimPrefix(r.URL, w.base))
	num := hook.EndpointNum(n)
	w.mu.Lock()
	w.count[num]++
	w.running[num]++
	w.peak[num] = max(w.peak[num], w.running[num])
	seen := request{at: at, endpoint: num, body: sha256.Sum256(r.Body)}
	for _, h := range r.Header {
		switch h.Name {
		case "webhook-id":
			seen.id = h.Value
		case "signature":
			seen.sig = h.Value
		case "X-Token":
			seen.token = h.Value
		case "X-Made":
			seen.made = h.Value
		}
	}
	w.requests = append(w.requests, seen)
	answer, count := w.answer[num], w.count[num]
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.running[num]--
		w.mu.Unlock()
	}()
	var res *egress.Result
	if answer == nil {
		res = after(ctx, time.Millisecond, status(200))
	} else {
		res = answer(ctx, count)
	}
	res.At, res.Timing.Total = at, time.Since(at)
	for _, h := range r.Header {
		res.RequestHeader = append(append(append(append(res.RequestHeader, h.Name...), ": "...), h.Value...), "\r\n"...)
	}
	return res
}

func (w *world) DisableEndpoint(_ context.Context, num hook.EndpointNum, reason string) error {
	w.mu.Lock()
	w.actions = append(w.actions, "disable "+strconv.Itoa(int(num)))
	w.mu.Unlock()
	w.change(num, func(e *hook.Endpoint) { e.State, e.StateReason = hook.EndpointDisabled, reason })
	return nil
}

func (w *world) EndpointFailing(_ context.Context, num hook.EndpointNum, since time.Time, warning int, reason string) error {
	w.noted(fmt.Sprintf("failing %d since %s, warning %d: %s", num, since.UTC().Format(time.TimeOnly), warning, reason))
	w.change(num, func(e *hook.Endpoint) {
		if e.FailingSince.IsZero() {
			e.FailingSince = since
		}
	})
	return nil
}

func (w *world) EndpointRecovered(_ context.Context, num hook.EndpointNum) error {
	w.noted("recovered " + strconv.Itoa(int(num)))
	w.change(num, func(e *hook.Endpoint) { e.FailingSince = time.Time{} })
	return nil
}

func (w *world) noted(action string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.actions = append(w.actions, action)
}

func (w *world) Unsubscribe(context.Context, hook.EndpointNum, string) error {
	return errors.New("not in this test")
}

// seen are the requests to an endpoint so far; 0: to all.
func (w *world) seen(num hook.EndpointNum) []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []request
	for _, r := range w.requests {
		if num == 0 || r.endpoint == num {
			out = append(out, r)
		}
	}
	return out
}

// mostAtOnce is how many requests an endpoint had running at once since the
// last call.
func (w *world) mostAtOnce(num hook.EndpointNum) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	peak := w.peak[num]
	w.peak[num] = 0
	return peak
}

// once fails the test unless each event was seen exactly once by each of its
// endpoints.
func (w *world) once() {
	w.t.Helper()
	type pair struct {
		id  string
		num hook.EndpointNum
	}
	n := map[pair]int{}
	for _, r := range w.seen(0) {
		n[pair{r.id, r.endpoint}]++
	}
	lost, twice := 0, 0
	for _, e := range w.queue.events {
		for _, t := range e.Targets {
			switch c := n[pair{e.ID.String(), t.Endpoint}]; {
			case c == 0:
				lost++
			case c > 1:
				twice++
			}
		}
	}
	if lost > 0 || twice > 0 {
		w.t.Errorf("%d deliveries were not sent, %d were sent more than once", lost, twice)
	}
}

func status(code int) *egress.Result {
	return &egress.Result{Status: code, Proto: "HTTP/1.1", Header: http.Header{}}
}

func failure(class string) *egress.Result { return &egress.Result{Class: class} }

// after answers when a time has passed, unless the request is broken off.
func after(ctx context.Context, d time.Duration, r *egress.Result) *egress.Result {
	select {
	case <-time.After(d):
		return r
	case <-ctx.Done():
		return failure(egress.ClassCanceled)
	}
}

// always answers a status after a time.
func always(d time.Duration, code int) func(context.Context, int) *egress.Result {
	return func(ctx context.Context, _ int) *egress.Result { return after(ctx, d, status(code)) }
}

// hangs never answers; the request ends by its timeout.
func hangs(ctx context.Context, _ int) *egress.Result {
	return after(ctx, 10*time.Second, failure(egress.ClassTimeoutHeader))
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, n int, f func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t, n)) })
}

// acted is what was done to endpoints because of their answers.
func (w *world) acted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.actions)
}

func smallMemory(c *dispatch.Config) { c.Memory = 64 << 10 }

func lastOf[T any](list []T) T { return list[len(list)-1] }
