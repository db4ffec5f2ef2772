package vendors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/auth/callers"
	"grapnel/internal/dialect"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/telemetry"
)

// The bounds of a request to a vendor's API.
const (
	maxBody    = 1 << 20
	answerTime = 30 * time.Second
)

// Metrics counts requests. *telemetry.Metrics is one.
type Metrics interface {
	HTTP(route, code string, d time.Duration)
}

// Renderer makes the bodies that endpoints get. *dispatch.Composer is one.
type Renderer interface {
	Render(event *hook.Event, e *hook.Endpoint, t *hook.Tenant) ([]byte, error)
}

// Config is what a Host works with. All parts without a default are required.
type Config struct {
	Vendors   []*dialect.Vendor
	Taken     []string     // patterns that Next has: no vendor's may match the same requests
	Next      http.Handler // answers all that is at no vendor's path
	Callers   *callers.Callers
	Manager   *manage.Manager
	Directory *directory.Directory
	Reader    store.Reader
	Renderer  Renderer
	Metrics   Metrics
	Tracer    *telemetry.Tracer // nil: no traces
	Logger    *slog.Logger
	PublicURL string           // under which others reach the server, without a slash at the end
	Now       func() time.Time // nil: time.Now
}

// Host serves the management APIs of vendors. It is an http.Handler.
type Host struct {
	Config
	mux    *http.ServeMux
	routes map[string]*route // by pattern
	owners map[string]*vendor
}

// vendor is a vendor with what has to be known of all of its routes.
type vendor struct {
	*dialect.Vendor
	family string
}

type route struct {
	dialect.Route
	of *vendor
}

// New makes a Host. It is an error if two routes match the same requests and
// neither is the more specific one, or if a vendor's route is Next's.
func New(c Config) (*Host, error) {
	if c.Next == nil || c.Callers == nil || c.Manager == nil || c.Directory == nil || c.Reader == nil || c.Renderer == nil || c.Metrics == nil || c.Logger == nil {
		return nil, errors.New("make the host of vendors: a part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	h := &Host{Config: c, mux: http.NewServeMux(), routes: map[string]*route{}, owners: map[string]*vendor{}}
	for _, v := range c.Vendors {
		if len(v.Routes) == 0 {
			continue
		}
		if len(v.Dialects) == 0 || v.Refuse == nil {
			return nil, errors.New("make the host of vendors: a vendor with routes has no dialect, or cannot refuse")
		}
		own := &vendor{v, v.Dialects[0].Family()}
		for _, r := range v.Routes {
			if err := h.mount(own, r); err != nil {
				return nil, err
			}
		}
	}
	if err := h.apart(); err != nil {
		return nil, err
	}
	h.claim()
	h.mux.HandleFunc("/", h.nothingHere)
	return h, nil
}

func (h *Host) mount(v *vendor, r dialect.Route) error {
	method, path, ok := strings.Cut(r.Pattern, " ")
	if !ok || method == "" || !strings.HasPrefix(path, "/") || r.Serve == nil {
		return fmt.Errorf("mount the route %q of %s: want a method, a path and what serves it", r.Pattern, v.family)
	}
	if err := handle(h.mux, r.Pattern, h.serve(&route{r, v})); err != nil {
		return fmt.Errorf("mount the route %q of %s: %w", r.Pattern, v.family, err)
	}
	h.routes[r.Pattern] = &route{r, v}
	return nil
}

// handle registers a pattern, and gives back what net/http panics with where it
// cannot.
func handle(mux *http.ServeMux, pattern string, by http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	mux.Handle(pattern, by)
	return nil
}

// apart finds out whether a vendor's route and one of Next's match the same
// requests.
func (h *Host) apart() error {
	both, nobody := http.NewServeMux(), http.NotFoundHandler()
	for _, pattern := range h.Taken {
		if err := handle(both, pattern, nobody); err != nil {
			return fmt.Errorf("mount the vendors' routes: %w", err)
		}
	}
	for pattern, r := range h.routes {
		if err := handle(both, pattern, nobody); err != nil {
			return fmt.Errorf("mount the route %q of %s beside the native API: %w", pattern, r.of.family, err)
		}
	}
	return nil
}

// claim says which paths are a vendor's, whether it has a route there or not:
// all below the beginning of a route's path that has no wildcard, and all beside
// it, unless something of Next's or of another vendor's lies there. So
// /v1.0/webhook.list.json makes all of /v1.0/ its vendor's, and /v1/hooks
// nothing but itself.
func (h *Host) claim() {
	beside := map[string]*vendor{} // nil: of several
	for _, r := range h.routes {
		fixed := fixedPart(r.Pattern)
		h.owners[fixed] = r.of
		if folder := fixed[:strings.LastIndexByte(fixed, '/')]; folder != "" {
			if other, taken := beside[folder]; taken && other != r.of {
				beside[folder] = nil
			} else {
				beside[folder] = r.of
			}
		}
	}
	for folder, v := range beside {
		native := slices.ContainsFunc(h.Taken, func(pattern string) bool { return under(fixedPart(pattern), folder) })
		if v != nil && !native && h.owners[folder] == nil {
			h.owners[folder] = v
		}
	}
}

// fixedPart is a pattern's path up to its first wildcard, without a slash at
// the end.
func fixedPart(pattern string) string {
	path := pattern[strings.IndexByte(pattern, '/'):]
	if i := strings.IndexByte(path, '{'); i >= 0 {
		path = path[:i]
	}
	return strings.TrimRight(path, "/")
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// owner is the vendor whose paths hold this one; nil: it is no vendor's.
func (h *Host) owner(path string) *vendor {
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		if v := h.owners[path[:end]]; v != nil {
			return v
		}
	}
	return nil
}

// Patterns are those of all vendors' routes, sorted.
func (h *Host) Patterns() []string {
	var out []string
	for pattern := range h.routes {
		out = append(out, pattern)
	}
	slices.Sort(out)
	return out
}

// Refuse answers a request at a vendor's path with an error in the vendor's
// shape, and reports whether it is at one.
func (h *Host) Refuse(w http.ResponseWriter, r *http.Request, err error) bool {
	v := h.owner(r.URL.EscapedPath())
	if v == nil {
		return false
	}
	standing(w.Header(), telemetry.NewRequestID())
	v.Refuse(w, dialect.WithLinkBase(r, h.linkBase()), h.told(nil, err))
	return true
}

// linkBase is the server's address for links.
func (h *Host) linkBase() string { return strings.TrimRight(h.PublicURL, "/") }

// standing sets the headers that every answer has.
func standing(header http.Header, id string) {
	header["Request-Id"] = []string{id}
	header["Cache-Control"] = []string{"no-store"}
	header["X-Content-Type-Options"] = []string{"nosniff"}
}

// call is one request on its way. It is the ResponseWriter that routes get.
type call struct {
	telemetry.Answer
	r      *http.Request
	id     string
	of     *vendor
	caller *auth.Principal
	actor  hook.Actor // who is noted as having done what is done
}

// noRoute is what requests that no route matched are counted under.
const noRoute = "none"

// pattern is the one that matched. The path and the query are never logged or
// counted: they may hold anything, and keys too.
func pattern(r *http.Request) string {
	if r.Pattern == "" || r.Pattern == "/" {
		return noRoute
	}
	return r.Pattern
}

// ServeHTTP answers one request.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	v := h.owner(path)
	if v == nil {
		h.Next.ServeHTTP(w, r)
		return
	}
	begin := h.Now()
	r, span := h.Tracer.Request(r)
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	r = dialect.WithLinkBase(r.WithContext(ctx), h.linkBase())
	c := &call{Answer: telemetry.Answer{ResponseWriter: w}, r: r, id: telemetry.NewRequestID(), of: v}
	r = r.WithContext(manage.As(r.Context(), &c.actor)) // which is filled in with the key
	c.r = r
	standing(w.Header(), c.id)
	defer func() {
		if p := recover(); p != nil {
			h.panicked(c, p)
		}
		if c.Status == 0 {
			c.Status = http.StatusOK
		}
		took := h.Now().Sub(begin)
		h.Metrics.HTTP(pattern(r), strconv.Itoa(c.Status), took)
		span.End(r.Method, pattern(r), c.id, c.Status)
		h.logRequest(c, took)
	}()
	switch {
	case unclean(path): // the mux would answer with a redirection
		h.nothingHere(c, r)
	case egress.Returned(r.Header): // case 92
		h.refuse(c, hook.Errorf(hook.CodeForbidden, "this request is the delivery of a Grapnel server (it has the header %s), and would go round in circles", egress.HopHeader))
	case r.ContentLength > maxBody:
		w.Header().Set("Connection", "close") // rather than read it all to throw it away
		h.refuse(c, tooLarge())
	default:
		r.Body = &body{http.MaxBytesReader(w, r.Body, maxBody)}
		h.mux.ServeHTTP(c, r)
	}
}

func (h *Host) logRequest(c *call, took time.Duration) {
	if !h.Logger.Enabled(c.r.Context(), slog.LevelDebug) {
		return
	}
	key := ""
	if c.caller != nil {
		key = c.caller.KeyID()
	}
	h.Logger.Debug("request", "request_id", c.id, "route", pattern(c.r), "status", c.Status, "duration_ms", float64(took)/float64(time.Millisecond),
		"key_id", key, "client", h.Callers.Client(c.r).String())
}

// panicked answers for a route that panicked. What it panicked with may hold
// the request, so that only its type is logged beside the stack, unless it is
// the runtime's.
func (h *Host) panicked(c *call, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	what := fmt.Sprintf("%T", p)
	if broken, ok := p.(runtime.Error); ok {
		what = broken.Error()
	}
	h.Logger.Error("panic while answering a request", "request_id", c.id, "route", pattern(c.r), "panic", what, "stack", string(debug.Stack()))
	if c.Status == 0 {
		h.refuse(c, hook.Errorf(hook.CodeInternal, "panic"))
	}
}

// unclean looks at a path as it came: what is escaped in it is no part of its
// form.
func unclean(path string) bool {
	return strings.Contains(path, "//") || strings.Contains(path, "/./") || strings.Contains(path, "/../") ||
		strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..")
}

// body is a request's body that ends with an error to be told where there is too
// much of it.
type body struct{ io.ReadCloser }

// Read reads.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		err = tooLarge()
	}
	return n, err
}

func tooLarge() error {
	return hook.Errorf(hook.CodeTooLarge, "the request has more than %d bytes; nothing was changed", maxBody)
}

// serve answers by a route.
func (h *Host) serve(r *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c := w.(*call)
		c.r = req
		r.Serve(&control{h, r.of, c}, c, req)
	})
}

// refuse answers in the vendor's shape.
func (h *Host) refuse(c *call, err error) { c.of.Refuse(c, c.r, h.told(c, err)) }

// nothingHere answers requests that no route matches, with CodeMethod where
// another method would have matched.
func (h *Host) nothingHere(w http.ResponseWriter, r *http.Request) {
	c := w.(*call)
	if allowed := h.allowed(r); len(allowed) > 0 {
		c.Header().Set("Allow", strings.Join(allowed, ", "))
		h.refuse(c, hook.Errorf(dialect.CodeMethod, "this address takes %s", strings.Join(allowed, ", ")))
		return
	}
	h.refuse(c, hook.Errorf(hook.CodeNotFound, "there is nothing at this address"))
}

func (h *Host) allowed(r *http.Request) []string {
	var out []string
	if unclean(r.URL.EscapedPath()) {
		return nil
	}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := h.mux.Handler(probe); pattern != "/" && pattern != "" {
			if out = append(out, method); method == http.MethodGet {
				out = append(out, http.MethodHead)
			}
		}
	}
	return out
}

// told makes what a vendor's API is told of an error, and logs it if it is
// ours. c may be nil.
func (h *Host) told(c *call, err error) error {
	if err == nil {
		return nil
	}
	e := *manage.Told(err)
	switch {
	case e.Code == manage.CodeUnsuitable:
		e.Code = hook.CodeInvalid
	case e.Code == hook.CodeInternal:
		e.Message = "the fault is the server's, whose log says more under the answer's Request-Id"
	}
	if c != nil && (e.Code == hook.CodeInternal || e.Code == hook.CodeUnavailable && c.r.Context().Err() == nil) {
		h.Logger.Error("request failed", "request_id", c.id, "route", pattern(c.r), "code", e.Code, "error", err)
	}
	return &e
}
