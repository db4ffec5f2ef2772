package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/auth/callers"
	"grapnel/internal/dialect"
	"grapnel/internal/dispatch"
	"grapnel/internal/fair"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/live"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/telemetry"
	"grapnel/internal/why"
)

// Publisher takes events in. The ingester is one.
type Publisher interface {
	Publish(ctx context.Context, s *ingest.Submission) (results []ingest.Result, replayed bool, err error)
}

// Waker is told of deliveries that became pending again. The dispatcher is one.
type Waker interface {
	Wake(key hook.DeliveryKey)
}

// Queue tells what a delivery that waits, waits for. The dispatcher does.
type Queue interface {
	// WaitsFor is the delivery that is sent before, where an endpoint gets them in order.
	WaitsFor(key hook.DeliveryKey, orderingKey string) (first hook.DeliveryKey, ok bool)
	Look(key hook.DeliveryKey) why.Place
}

// Matching tells why an endpoint does not get an event. The ingester does.
type Matching interface {
	Why(event *hook.Event, e *hook.Endpoint) ingest.Mismatch
}

// Metrics counts requests. *telemetry.Metrics is one.
type Metrics interface {
	HTTP(route, code string, d time.Duration)
}

// Config is what the API works with. All parts without a default are required.
type Config struct {
	Auth      *auth.Authenticator
	Manager   *manage.Manager
	Directory *directory.Directory
	Dialects  *dialect.Registry
	Publisher Publisher
	Waker     Waker
	Canceller Canceller
	Queue     Queue
	Matching  Matching
	CatchUp   func(ctx context.Context) // takes over what other servers have configured; nil: there are none
	Replayer  *manage.Replayer
	Reader    store.Reader
	Extent    Extent             // of the same store
	Purger    store.Purger       // the same store
	Cluster   store.Cluster      // those who share it
	Node      string             // this server's name among them
	Inbox     store.Inbox        // of the same store; nil: it has none
	Composer  *dispatch.Composer // what it makes is shown to those who listen
	Live      *live.Hub          // what it is told reaches those who watch; nil: it is told nothing
	Metrics   Metrics
	Tracer    *telemetry.Tracer // nil: no traces
	Logger    *slog.Logger

	Backup  store.Backuper // nil: the store has another way
	KeyFile string         // of the key that secrets are sealed with, to go with a backup; "": there is none
	Program string         // version of the program; "": devel

	// CursorKeys authenticate cursors, the first one those that are made; 16 bytes or
	// more each, the same after a restart.
	CursorKeys [][]byte
	PublicURL  string // under which others reach the server; bodies may hold it

	MaxEventBytes   int64         // of an event's data, and of its previous; 0: 1 MiB
	MaxBatchBytes   int64         // of a request that holds several events; 0: 16 MiB
	MaxHeldBytes    int64         // of publishes that are being read or stored at once; 0: 64 MiB, never less than MaxBatchBytes
	PublishDeadline time.Duration // how long a publish may wait for the store; 0: 30 s
	DiscardAtOnce   int           // held deliveries that one request discards before it answers; 0: 50,000

	RateLimit  Rate           // of requests with one key, on this face and on others with the same Callers
	FailedKeys Rate           // of wrong keys from one address
	Proxies    []netip.Prefix // ranges of proxies that are believed about who calls
	// IdempotencyWindow is how long the answers to requests with an
	// Idempotency-Key that are no publishes are remembered. 0: 24 h.
	IdempotencyWindow time.Duration
	Now               func() time.Time
}

// API serves /v1. It is an http.Handler.
type API struct {
	Config
	mux     *http.ServeMux
	headers standing
	held    budget // of publishes
	parsing *fair.Turns
	flights flights

	document func() ([]byte, error) // made when it is first asked for
	callers  *callers.Callers
}

// standing are header values that are the same in every answer, made once for
// all of them. net/http only reads them.
type standing struct{ noStore, noSniff, json []string }

// envelope is what a request of one event may have besides data and previous.
const envelope = 64 << 10

// New makes the API.
func New(c Config) (*API, error) {
	if c.Auth == nil || c.Manager == nil || c.Directory == nil || c.Dialects == nil || c.Publisher == nil ||
		c.Waker == nil || c.Canceller == nil || c.Queue == nil || c.Matching == nil || c.Replayer == nil || c.Reader == nil || c.Extent == nil || c.Purger == nil || c.Cluster == nil || c.Composer == nil || c.Metrics == nil || c.Logger == nil {
		return nil, errors.New("make the API: a part is missing")
	}
	if len(c.CursorKeys) == 0 || slices.ContainsFunc(c.CursorKeys, func(key []byte) bool { return len(key) < 16 }) {
		return nil, errors.New("make the API: there is no key for cursors, or one has less than 16 bytes")
	}
	if c.MaxEventBytes == 0 {
		c.MaxEventBytes = 1 << 20
	}
	if c.MaxBatchBytes == 0 {
		c.MaxBatchBytes = 16 << 20
	}
	c.MaxBatchBytes = max(c.MaxBatchBytes, c.maxSingleBytes())
	if c.MaxHeldBytes == 0 {
		c.MaxHeldBytes = publishMemory
	}
	if c.DiscardAtOnce == 0 {
		c.DiscardAtOnce = 50_000
	}
	if c.PublishDeadline == 0 {
		c.PublishDeadline = 30 * time.Second
	}
	if c.IdempotencyWindow == 0 {
		c.IdempotencyWindow = 24 * time.Hour
	}
	if c.Program == "" {
		c.Program = "devel"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Live == nil {
		c.Live = live.New(live.Config{})
	}
	a := &API{Config: c, mux: http.NewServeMux(), headers: standing{[]string{"no-store"}, []string{"nosniff"}, []string{"application/json"}}}
	var err error
	if a.callers, err = callers.New(callers.Config{Auth: c.Auth, Logger: c.Logger, Keys: c.RateLimit, Failed: c.FailedKeys, Proxies: c.Proxies, Now: c.Now}); err != nil {
		return nil, err
	}
	a.parsing = fair.NewTurns(max(1, runtime.GOMAXPROCS(0)/2))
	a.document = sync.OnceValues(func() ([]byte, error) { return OpenAPI(c.Program) })
	a.held.limit = max(c.MaxHeldBytes, c.MaxBatchBytes+heldStep) // one request always fits
	routes := a.routes()
	for i := range routes {
		a.mux.Handle(routes[i].pattern, a.guarded(&routes[i]))
	}
	a.mux.HandleFunc("/", a.notFound)
	return a, nil
}

// Rate is how often something may happen. The zero value is no limit.
type Rate = callers.Rate

// Callers are those who call, for other faces of the same server to count them
// together.
func (a *API) Callers() *callers.Callers { return a.callers }

// Patterns are those of all routes, for others who serve beside them.
func (a *API) Patterns() []string {
	routes := a.routes()
	out := make([]string, len(routes))
	for i := range routes {
		out[i] = routes[i].pattern
	}
	return out
}

// maxSingleBytes bounds a request that holds one event.
func (c *Config) maxSingleBytes() int64 { return 2*c.MaxEventBytes + envelope }

// call is one request on its way. It is the ResponseWriter that handlers get,
// so that the request's id and caller need no context.
type call struct {
	telemetry.Answer
	r      *http.Request
	id     [1]string // as a header has it
	row    *routeRow // the route; nil where none matched
	caller *auth.Principal
	tenant *hook.Tenant // of the route, where it names one
	held   hold         // of the publishes' budget
	span   telemetry.RequestSpan
	link   string // of a list: its neighbours, if the list itself is answered
	keyed  *keyed // it carries an Idempotency-Key, and is no publish
}

// noRoute is what requests that no route matched are counted under.
const noRoute = "none"

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := a.Now()
	r, span := a.Tracer.Request(r)
	c := &call{Answer: telemetry.Answer{ResponseWriter: w}, r: r, id: [1]string{telemetry.NewRequestID()}, span: span}
	h := w.Header()
	h["Request-Id"] = c.id[:]
	h["Cache-Control"] = a.headers.noStore
	h["X-Content-Type-Options"] = a.headers.noSniff
	defer func() {
		if p := recover(); p != nil {
			a.panicked(c, p)
		}
		a.finish(c, a.Now().Sub(begin))
	}()
	if unclean(r.URL.EscapedPath()) { // the mux would answer with a redirection
		a.fail(c, nothingHere())
		return
	}
	a.mux.ServeHTTP(c, r)
}

// unclean looks at a path as it came: what is escaped in it, such as an event's
// own id, is no part of its form.
func unclean(path string) bool {
	return strings.Contains(path, "//") || strings.Contains(path, "/./") || strings.Contains(path, "/../") ||
		strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..")
}

func (a *API) panicked(c *call, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	a.Logger.Error("panic while answering a request", "request_id", c.id[0], "route", route(c.r), "panic", p, "stack", string(debug.Stack()))
	if c.Status == 0 {
		c.problem(hook.Errorf(hook.CodeInternal, "panic"))
	}
}

func (a *API) finish(c *call, took time.Duration) {
	status := c.Status
	if status == 0 {
		status = http.StatusOK
	}
	a.Metrics.HTTP(route(c.r), statusText(status), took)
	c.span.End(c.r.Method, route(c.r), c.id[0], status)
	if a.Logger.Enabled(c.r.Context(), slog.LevelDebug) {
		a.Logger.Debug("request", "request_id", c.id[0], "route", route(c.r), "status", status, "duration_ms", ms(took), "key_id", c.keyID(), "client", a.callers.Client(c.r).String())
	}
}

// statusText spares the common codes a conversion.
func statusText(status int) string {
	switch status {
	case http.StatusAccepted:
		return "202"
	case http.StatusOK:
		return "200"
	}
	return strconv.Itoa(status)
}

func (c *call) keyID() string {
	if c.caller == nil {
		return ""
	}
	return c.caller.KeyID()
}

// route is the pattern that matched. The path and the query are never logged
// or counted: they may hold anything.
func route(r *http.Request) string {
	if r.Pattern == "" || r.Pattern == "/" {
		return noRoute
	}
	return r.Pattern
}

// guarded lets a request to its handler if its key allows the route.
func (a *API) guarded(r *routeRow) http.Handler {
	handle := r.handle
	if method, _, _ := strings.Cut(r.pattern, " "); r.remembered(method) {
		handle = a.once(handle)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c := w.(*call)
		c.row = r
		if err := a.admit(c, r); err != nil {
			a.fail(c, err)
			return
		}
		if err := unconditional(req); err != nil {
			a.fail(c, err)
			return
		}
		if r.publishes {
			c.held.of, c.held.party = &a.held, c.party()
			defer c.held.release()
		}
		if err := handle(c); err != nil {
			a.fail(c, err)
		}
	})
}

// party is who publishes, as far as others are to be kept from waiting for it.
func (c *call) party() string {
	if c.tenant != nil {
		return c.tenant.ID
	}
	return "key " + c.caller.KeyID() // which is no tenant's id
}

// admit finds out who calls, and whether they may. What is asked of a tenant
// that is not there or not theirs is not found, whatever it is (case 94).
func (a *API) admit(c *call, r *routeRow) error {
	if r.open {
		return nil
	}
	var err error
	if c.caller, err = a.callers.Bearer(c.Header(), c.r); err != nil {
		return err
	}
	tenant := c.r.PathValue("tenant")
	if err := c.caller.May(c.asked(r), tenant); err != nil {
		return err
	}
	if err := r.checkQuery(c.r.URL); err != nil {
		return err
	}
	if err := r.checkLoop(c); err != nil {
		return err
	}
	if r.changes() {
		a.acts(c)
	}
	if tenant == "" || r.creates {
		return nil
	}
	t, ok := a.Directory.Tenant(tenant)
	if !ok {
		return auth.NoTenant(tenant)
	}
	c.tenant = t
	return nil
}

// notFound answers requests that no route matches, with 405 where another
// method would have matched.
func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	c := w.(*call)
	if allowed := a.allowed(r); len(allowed) > 0 {
		c.Header().Set("Allow", strings.Join(allowed, ", "))
		c.problem(hook.Errorf(codeMethod, "this address takes %s", strings.Join(allowed, ", ")))
		return
	}
	a.fail(c, nothingHere())
}

func nothingHere() error {
	return hook.Errorf(hook.CodeNotFound, "there is nothing at this address")
}

func (a *API) allowed(r *http.Request) []string {
	var out []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(probe); pattern != "/" && pattern != "" {
			if out = append(out, method); method == http.MethodGet {
				out = append(out, http.MethodHead)
			}
		}
	}
	return out
}
