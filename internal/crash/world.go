package crash

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"grapnel/internal/child"
	"grapnel/internal/ledger"
)

// world is a server with its receiver, tenants and endpoints, over many
// rounds.
type world struct {
	Options
	data     string
	store    string // the database's URL; "": the folder data
	secret   string // what secrets in a database are encrypted with
	addr     string
	key      string
	client   *http.Client
	receiver *ledger.Receiver
	server   *child.Process
	log      *os.File
	faults   []ledger.Fault
	rounds   int
	book     *ledger.Producer       // of the round that runs
	routes   map[[2]string][]string // endpoints by tenant and type
	further  []site                 // besides the usual ones
	pick     func() string          // the address to send the next request to; nil: addr
	// witness knows more of a round that has settled: faults that came of others, and
	// what must not have been; nil: nobody does.
	witness func(ctx context.Context, requests []ledger.Request, r *Round) error

	mu    sync.Mutex
	since time.Time // when the server was started last
	first time.Time // first request on a connection made since
}

// lease is that of a server on a database: what the dead one held is free after it.
const lease = time.Second

// newSecret makes a key of 32 bytes.
func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return base64.StdEncoding.EncodeToString(key)
}

// readyLimit is how long a start may take before the harness gives up.
const readyLimit = 30 * time.Second

// The tenants and types of what is published. Each type goes to "all"
// endpoints of its tenant that want it.
const (
	typeFast  = "crash.fast"
	typeSlow  = "crash.slow"
	typeFlaky = "crash.flaky"
)

var tenants = []string{"crash-a", "crash-b"}

// site is one endpoint of each tenant.
type site struct {
	name   string
	types  []string // nil: all
	answer ledger.Answer
	extra  map[string]any
}

func sites() []site {
	slow := func(*ledger.Request, int) (int, time.Duration) { return http.StatusOK, 30 * time.Millisecond }
	flaky := func(_ *ledger.Request, n int) (int, time.Duration) {
		if n == 1 {
			return http.StatusServiceUnavailable, 0
		}
		return http.StatusNoContent, 0
	}
	return []site{
		{name: "fast"},
		{name: "slow", types: []string{typeSlow}, answer: slow},
		// Its retries are due soon, so that a round meets them on both sides of
		// the fault and need not wait for them.
		{name: "flaky", types: []string{typeFlaky}, answer: flaky, extra: map[string]any{"schedule": []any{0.1, 0.2, 0.5, 1, 1, 1}}},
	}
}

// newWorld makes a world and starts its server.
func newWorld(ctx context.Context, o Options, data string) (*world, error) {
	w, err := newWorldUnstarted(ctx, o, data)
	if err != nil {
		return nil, err
	}
	if err = w.start(ctx, nil); err == nil {
		err = w.setUp(ctx)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func newWorldUnstarted(ctx context.Context, o Options, data string) (*world, error) {
	w := &world{Options: o, data: data, key: "crash_" + rand.Text(), secret: newSecret(), routes: map[[2]string][]string{}}
	w.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: o.Connections + 1}}
	var err error
	if o.Database != nil {
		if w.store, err = o.Database(ctx); err != nil {
			return nil, err
		}
	}
	if w.addr, err = child.FreeAddr(); err != nil {
		return nil, err
	}
	if w.log, err = os.OpenFile(filepath.Join(o.Dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("crash: %w", err)
	}
	if w.receiver, err = ledger.NewReceiver(w.arrived); err != nil {
		return nil, errors.Join(err, w.log.Close())
	}
	return w, nil
}

func (w *world) close() {
	if w.server != nil {
		w.server.Kill()
	}
	_ = w.receiver.Close() // nothing is expected from either any more
	_ = w.log.Close()
	w.client.CloseIdleConnections()
}

// start starts the server and waits until it is ready.
func (w *world) start(ctx context.Context, env []string) error {
	command := append(w.Command[:len(w.Command):len(w.Command)], "--listen", w.addr)
	all := append([]string{"GRAPNEL_ADMIN_KEY=" + w.key}, w.Env...)
	if w.store == "" {
		command = append(command, "--data", w.data)
	} else {
		command = append(command, "--lease", lease.String(), "--renew", (lease / 4).String())
		all = append(all, "GRAPNEL_STORE="+w.store, "GRAPNEL_SECRET_KEY="+w.secret)
	}
	w.client.CloseIdleConnections()
	now := time.Now()
	w.mu.Lock()
	w.since, w.first = now, time.Time{}
	w.mu.Unlock()
	p, err := child.Start(child.Config{Command: command, Env: append(all, env...), Stdout: w.log, Stderr: w.log})
	if err != nil {
		return err
	}
	w.server = p
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if err := p.Ready(ctx, "http://"+w.addr+"/readyz"); err != nil {
		return fmt.Errorf("crash: server: %w: %s", err, w.logTail())
	}
	return nil
}

// killedItself reports whether the server ended by its crash point.
func (w *world) killedItself() bool {
	if w.server == nil {
		return false
	}
	select {
	case <-w.server.Done():
		return w.server.Killed()
	case <-time.After(time.Second): // the connection breaks before the process is reaped
		return false
	}
}

func (w *world) logTail() string {
	text, err := os.ReadFile(w.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-1500):])
}

// arrived notes the first request that the present process sent.
func (w *world) arrived(q *ledger.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first.IsZero() && q.ConnAt.After(w.since) {
		w.first = q.At
	}
}

// firstDelivery is how long after its start the present process delivered;
// zero if it has not.
func (w *world) firstDelivery() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first.IsZero() || w.since.IsZero() {
		return 0
	}
	return w.first.Sub(w.since)
}

// setUp makes the tenants and endpoints, unless they are there from an earlier
// start.
func (w *world) setUp(ctx context.Context) error {
	if len(w.routes) > 0 {
		return nil
	}
	for _, tenant := range tenants {
		if err := w.call(ctx, http.MethodPut, "/v1/tenants/"+tenant, map[string]any{}, nil); err != nil {
			return err
		}
		for _, s := range append(sites(), w.further...) {
			path := "/" + tenant + "/" + s.name
			in := map[string]any{"url": w.receiver.URL(path)}
			if s.types != nil {
				in["event_types"] = s.types
			}
			for name, value := range s.extra {
				in[name] = value
			}
			var out struct{ ID, Secret string }
			if err := w.call(ctx, http.MethodPost, "/v1/tenants/"+tenant+"/endpoints", in, &out); err != nil {
				return err
			}
			if err := w.receiver.Serve(path, out.ID, out.Secret, s.answer); err != nil {
				return err
			}
			w.route(tenant, s.types, out.ID)
		}
	}
	return nil
}

// route notes to which types an endpoint listens.
func (w *world) route(tenant string, types []string, endpoint string) {
	if types == nil {
		types = []string{typeFast, typeSlow, typeFlaky}
	}
	for _, t := range types {
		k := [2]string{tenant, t}
		w.routes[k] = append(w.routes[k], endpoint)
	}
}

func (w *world) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	status, text, err := w.send(ctx, method, path, body)
	if err != nil {
		return fmt.Errorf("crash: %s %s: %w", method, path, err)
	}
	if status/100 != 2 {
		return fmt.Errorf("crash: %s %s: %d: %.300s", method, path, status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

func (w *world) send(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	addr := w.addr
	if w.pick != nil {
		addr = w.pick()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.GetBody = nil // a broken connection must not be hidden by a second try
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+w.key)
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it has been read by then
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}
