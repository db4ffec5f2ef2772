package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"grapnel/internal/child"
)

// target is a running receiver.
type target struct {
	*worker
	receiverHello
	http   *http.Client
	scheme string
	slot   time.Duration
}

func (r *rig) startReceiver(ctx context.Context, c receiverConfig) (*target, error) {
	w, err := r.startWorker(roleReceiver, c)
	if err != nil {
		return nil, err
	}
	t := &target{worker: w, http: r.http, scheme: "http", slot: c.Slot}
	if c.TLS != "" {
		t.scheme = "https"
	}
	return t, w.answer(ctx, &t.receiverHello)
}

// url is where how, such as "ok/0" or "slow/500/1", has its n-th endpoint.
func (t *target) url(how string, n int) string {
	return fmt.Sprintf("%s%d", t.prefix(how), n)
}

func (t *target) prefix(how string) string { return t.scheme + "://" + t.Addr + "/" + how + "/" }

func (t *target) stats(ctx context.Context, whole bool) (*receiverStats, error) {
	url := "http://" + t.Control + "/stats"
	if whole {
		url += "?whole"
	}
	s := new(receiverStats)
	return s, call(ctx, t.http, http.MethodGet, url, "", nil, s)
}

// reset begins another window: ages and times are those from now on.
func (t *target) reset(ctx context.Context) (*receiverStats, error) {
	s := new(receiverStats)
	return s, call(ctx, t.http, http.MethodPost, "http://"+t.Control+"/reset", "", nil, s)
}

// server is a running server.
type server struct {
	*child.Process
	rig  *rig
	addr string
	data string
	env  []string
	log  *os.File
	name string // of its database; "": it has a data folder
}

// newServer prepares a server on a data folder that is not there yet.
func (r *rig) newServer(ctx context.Context, env []string) (*server, error) {
	r.started++
	data := filepath.Join(r.dir, fmt.Sprintf("data-%d", r.started))
	addr, err := child.FreeAddr()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(data + ".log")
	if err != nil {
		return nil, err
	}
	s := &server{rig: r, addr: addr, data: data, env: env, log: log}
	if r.stores == nil {
		return s, nil
	}
	if s.name, err = r.stores.create(ctx); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s.env = slices.Concat(s.env, r.stores.env(s.name))
	return s, nil
}

// start starts the server on its data folder, whatever that holds, and waits
// until it is ready, which it tells the time of.
func (s *server) start(ctx context.Context, patience time.Duration) (ready time.Duration, err error) {
	command := s.rig.Serve
	if len(command) == 0 {
		command = []string{s.rig.Binary, "serve", "--egress-allow", "127.0.0.0/8"}
	}
	command = append(command[:len(command):len(command)], "--data", s.data, "--listen", s.addr)
	env := slices.Concat([]string{"GRAPNEL_ADMIN_KEY=" + s.rig.key}, s.env, s.rig.Env)
	if s.Process, err = child.Start(child.Config{Command: command, Env: env, Stdout: s.log, Stderr: s.log}); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.Ready(ctx, "http://"+s.addr+"/readyz"); err != nil {
		return 0, fmt.Errorf("bench: server: %w: %s", err, s.logTail())
	}
	return time.Since(s.Started()), nil
}

const (
	startPatience = 30 * time.Second
	longPatience  = 10 * time.Minute // of a start with much in the data folder
	stopPatience  = time.Minute
)

// end kills the server and removes its data.
func (s *server) end() error {
	if s.Process != nil {
		s.Kill()
	}
	err := errors.Join(s.log.Close(), os.RemoveAll(s.data))
	if s.name != "" {
		err = errors.Join(err, s.rig.stores.drop(s.name))
	}
	return err
}

func (s *server) logTail() string {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	for _, mark := range []string{"panic: ", "fatal error: "} { // the reason, not the last goroutine's stack
		if i := bytes.Index(text, []byte(mark)); i >= 0 {
			return string(text[i:min(len(text), i+tailBytes)])
		}
	}
	return string(text[max(0, len(text)-tailBytes):])
}

// tailBytes is how much of a server's log an error tells.
const tailBytes = 1000

// call calls the native API, as everybody else would.
func (s *server) call(ctx context.Context, method, path string, in, out any) error {
	return call(ctx, s.rig.http, method, "http://"+s.addr+path, s.rig.key, in, out)
}

func (s *server) tenant(ctx context.Context, id string) error {
	return s.call(ctx, http.MethodPut, "/v1/tenants/"+id, map[string]string{}, nil)
}

func (s *server) endpoint(ctx context.Context, tenant, url, eventType string) error {
	in := map[string]any{"url": url, "event_types": []string{eventType}}
	return s.call(ctx, http.MethodPost, "/v1/tenants/"+tenant+"/endpoints", in, nil)
}

// oneTenantEach makes tenants prefix0, prefix1, … with an endpoint each, which
// answers in a group.
func (x *site) oneTenantEach(ctx context.Context, prefix string, tenants, group int) error {
	for n := range tenants {
		id := fmt.Sprintf("%s%d", prefix, n)
		err := x.tenant(ctx, id)
		if err == nil {
			err = x.endpoint(ctx, id, x.url(fmt.Sprintf("ok/%d", group), madeLater+n), eventType(0))
		}
		if err != nil {
			return fmt.Errorf("bench: set up: %w: %s", err, x.logTail())
		}
	}
	return nil
}

// madeLater is the number of the first endpoint that a site gets beside those
// of its plan.
const madeLater = 1_000_000_000

// files counts the data folder's database files, which come and go there, and
// the bytes of all files.
func (s *server) files() (databases int, bytes int64) {
	_ = filepath.WalkDir(s.data, func(path string, f fs.DirEntry, err error) error { // a file may vanish meanwhile
		if err != nil || f.IsDir() {
			return nil
		}
		if info, err := f.Info(); err == nil {
			bytes += info.Size()
		}
		if filepath.Ext(path) == ".db" || filepath.Ext(path) == ".sqlite" {
			databases++
		}
		return nil
	})
	return databases, bytes
}

const tenant = "bench"

// eventType is the type that only the n-th endpoint of a tenant gets.
func eventType(n int) string { return fmt.Sprintf("bench.event.%d", n) }

func eventTypes(n int) []string {
	types := make([]string, n)
	for i := range types {
		types[i] = eventType(i)
	}
	return types
}

// sitePlan says what there is on a site at first. Every endpoint gets a type of
// its own within its tenant, but for a plan with one type.
type sitePlan struct {
	endpoints int           // of the tenant bench, or of each seeded tenant
	hows      []string      // how endpoints answer, in turn; none: all "ok/0"
	groups    int           // of endpoints, in hows and those that are made later; 0: 1
	env       []string      // of the server
	slot      time.Duration // of the ages over time; 0: none are kept
	tls       string        // what the receiver speaks; "": plain HTTP
	seed      *seedPlan     // writes tenants and endpoints without the server; nil: the API makes them
}

// site is a server with a receiver.
type site struct {
	*server
	*target
	ready time.Duration // from the server's start
}

// startSite starts a receiver and a server on a folder that holds what is
// planned.
func (r *rig) startSite(ctx context.Context, p sitePlan) (*site, error) {
	x, err := r.newSite(ctx, p)
	if err != nil {
		return nil, err
	}
	patience := startPatience
	if p.seed != nil {
		patience = longPatience
	}
	if x.ready, err = x.start(ctx, patience); err == nil && p.seed == nil {
		err = x.fill(ctx, p)
	}
	if err != nil {
		x.end()
		return nil, err
	}
	return x, nil
}

// newSite is startSite without the start.
func (r *rig) newSite(ctx context.Context, p sitePlan) (*site, error) {
	t, err := r.startReceiver(ctx, receiverConfig{Groups: max(p.groups, 1), Slot: p.slot, TLS: p.tls})
	if err != nil {
		return nil, err
	}
	s, err := r.newServer(ctx, p.env)
	if err != nil {
		t.end()
		return nil, err
	}
	x := &site{server: s, target: t}
	trusted, err := t.trust(s.data + ".pem")
	s.env = slices.Concat(s.env, trusted)
	if err == nil && p.seed != nil {
		err = r.seed(ctx, x, p)
	}
	if err != nil {
		x.end()
		return nil, err
	}
	return x, nil
}

// fill makes the tenant bench with the plan's endpoints.
func (x *site) fill(ctx context.Context, p sitePlan) error {
	err := x.tenant(ctx, tenant)
	for n := 0; n < p.endpoints && err == nil; n++ {
		err = x.endpoint(ctx, tenant, x.url(p.how(n), n), eventType(n))
	}
	if err != nil {
		return fmt.Errorf("bench: set up: %w: %s", err, x.logTail())
	}
	return nil
}

func (p *sitePlan) how(n int) string {
	if len(p.hows) == 0 {
		return "ok/0"
	}
	return p.hows[n%len(p.hows)]
}

func (x *site) end() {
	_ = x.server.end() // what cannot be removed goes with the rig's folder
	x.target.end()
}

// seedPlan is what is written into a site's data folder before it starts: tenants
// seed-0, seed-1, … with the plan's endpoints each.
type seedPlan struct {
	tenants int
	events  int64 // that wait, spread over all endpoints
	size    int   // of their data
	oneType string
}

const seededTenants = "seed-"

// seed has a worker write the folder: it is a process of its own for its memory
// would be the benchmark's else.
func (r *rig) seed(ctx context.Context, x *site, p sitePlan) error {
	orders := seedConfig{
		Dir: x.data, Tenants: p.seed.tenants, Endpoints: p.endpoints, Type: p.seed.oneType,
		Events: p.seed.events, Size: p.seed.size,
	}
	for n := range max(len(p.hows), 1) {
		orders.Prefixes = append(orders.Prefixes, x.prefix(p.how(n)))
	}
	w, err := r.startWorker(roleSeed, orders)
	if err != nil {
		return err
	}
	defer w.end()
	for {
		var s seedResult
		if err := w.answer(ctx, &s); err != nil {
			return err
		}
		if s.Over {
			return nil
		}
		if s.Total > 0 {
			r.progress.note("seeding: %d of %d events", s.Done, s.Total)
		}
	}
}

// manyEndpoints is the environment of a server that lets a tenant have so many.
func manyEndpoints(n int) []string {
	const byDefault = 10_000
	if n <= byDefault {
		return nil
	}
	return []string{fmt.Sprintf("GRAPNEL_MAX_ENDPOINTS=%d", n)}
}
