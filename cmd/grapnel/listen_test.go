package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"grapnel/client"
	process "grapnel/internal/child"
)

var (
	listenSeed   = flag.Uint64("listen.seed", 1, "seed of the restarts around grapnel listen")
	listenRounds = flag.Int("listen.rounds", 12, "restarts around grapnel listen")
)

const listenKey = "admin-key-of-the-listen-test"

// localReceiver is the server on the developer's machine.
type localReceiver struct {
	t    *testing.T
	addr string
	srv  *http.Server

	mu   sync.Mutex
	more *sync.Cond
	got  []string // webhook-id of each request, in order
}

func (r *localReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body) // it is small and was sent whole
	r.mu.Lock()
	r.got = append(r.got, req.Header.Get("webhook-id"))
	r.more.Broadcast()
	r.mu.Unlock()
	w.WriteHeader(http.StatusTeapot) // any answer counts
}

func (r *localReceiver) start() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	srv := &http.Server{Handler: r, ReadHeaderTimeout: deadline}
	r.srv = srv
	go func() { _ = srv.Serve(l) }() // ends by Shutdown
}

// stop lets what it works on be answered.
func (r *localReceiver) stop() {
	r.t.Helper()
	if err := r.srv.Shutdown(context.Background()); err != nil {
		r.t.Error(err)
	}
}

// reach waits until n requests have come.
func (r *localReceiver) reach(ctx context.Context, n int) bool {
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.more.Broadcast()
	})
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.got) < n && ctx.Err() == nil {
		r.more.Wait()
	}
	return len(r.got) >= n
}

func (r *localReceiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// listenWorld is everything that runs in the test.
type listenWorld struct {
	t        *testing.T
	ctx      context.Context
	program  string
	dir      string
	url      string
	server   *process.Process
	listen   *process.Process
	log      bytes.Buffer // of listen
	receiver *localReceiver
	restarts map[string]int
	acked    []string // the publisher's until it has ended
}

func newListenWorld(t *testing.T) *listenWorld {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*deadline)
	t.Cleanup(cancel)
	w := &listenWorld{t: t, ctx: ctx, dir: t.TempDir(), restarts: map[string]int{}}
	self, err := os.Executable()
	w.must(err)
	w.program = filepath.Join(w.dir, "grapnel") // under this name the test binary is the program
	w.must(os.Symlink(self, w.program))
	addr, err := process.FreeAddr()
	w.must(err)
	w.url = "http://" + addr
	w.receiver = &localReceiver{t: t}
	w.receiver.more = sync.NewCond(&w.receiver.mu)
	w.receiver.addr, err = process.FreeAddr()
	w.must(err)
	return w
}

func (w *listenWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *listenWorld) startServer() {
	w.t.Helper()
	var err error
	w.server, err = process.Start(process.Config{
		Command: []string{w.program, "serve", "--data", filepath.Join(w.dir, "data"), "--listen", strings.TrimPrefix(w.url, "http://")},
		Env:     []string{"GRAPNEL_ADMIN_KEY=" + listenKey, "GRAPNEL_DRAIN=5s"},
	})
	w.must(err)
	w.must(w.server.Ready(w.ctx, w.url+"/readyz"))
}

func (w *listenWorld) startListen() {
	w.t.Helper()
	var err error
	w.listen, err = process.Start(process.Config{
		Command: []string{w.program, "listen", "http://" + w.receiver.addr + "/hooks", "--tenant", "acme", "--state", w.stateFile(), "--verify", "--json"},
		Env:     []string{"GRAPNEL_KEY=" + listenKey, "GRAPNEL_URL=" + w.url}, Stdout: &w.log, Stderr: &w.log,
	})
	w.must(err)
}

func (w *listenWorld) stateFile() string { return filepath.Join(w.dir, "position.json") }

// endListen interrupts listen, which has to say that it was.
func (w *listenWorld) endListen(s os.Signal) {
	w.t.Helper()
	w.must(w.listen.Signal(s))
	<-w.listen.Done()
	if err := w.listen.Err(); err == nil || err.Error() != fmt.Sprint("exit status ", exitInterrupted) {
		w.t.Errorf("listen ended with %v:\n%s", err, w.log.String())
	}
}

// publish publishes until ctx ends, one event after the other, each under its
// own id until it is acknowledged: the last one too, for it may be stored.
func (w *listenWorld) publish(ctx context.Context) {
	c, err := client.New(client.Config{URL: w.url, Key: listenKey, Retries: -1})
	if err != nil {
		w.t.Error(err)
		return
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		receipt, err := c.Publish(w.ctx, "acme", client.Event{ID: fmt.Sprint("e", n), Type: "seq.next", Data: json.RawMessage(fmt.Sprint(n))})
		if err == nil {
			w.acked = append(w.acked, receipt.ID)
			if n++; ctx.Err() != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			return
		}
	}
}

// fault restarts something.
func (w *listenWorld) fault(r *rand.Rand) {
	w.t.Helper()
	down := r.IntN(3) == 0 // the receiver is away meanwhile
	if down {
		w.receiver.stop()
	}
	kind := []string{"server SIGTERM", "server SIGKILL", "listen SIGTERM", "listen SIGINT", "receiver"}[r.IntN(5)]
	switch kind {
	case "server SIGTERM":
		w.must(w.server.Stop(w.ctx))
		w.startServer()
	case "server SIGKILL":
		w.server.Kill()
		w.startServer()
	case "listen SIGTERM":
		w.endListen(syscall.SIGTERM)
		w.startListen()
	case "listen SIGINT":
		w.endListen(os.Interrupt)
		w.startListen()
	case "receiver":
		if !down {
			w.receiver.stop()
			down = true
		}
	}
	if w.restarts[kind]++; down {
		if kind != "receiver" {
			w.restarts["receiver"]++
		}
		w.receiver.start()
	}
}

// TestListenMissesNothing restarts the server, listen and the receiver while
// events are published: each that was acknowledged is forwarded once, in order.
func TestListenMissesNothing(t *testing.T) {
	t.Parallel()
	w := newListenWorld(t)
	w.startServer()
	t.Cleanup(func() { w.server.Kill() })
	c, err := client.New(client.Config{URL: w.url, Key: listenKey})
	w.must(err)
	if _, err := c.PutTenant(w.ctx, "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	w.receiver.start()
	t.Cleanup(w.receiver.stop)
	w.startListen()
	t.Cleanup(func() { w.listen.Kill() })
	w.must(waitForFile(w.ctx, w.stateFile()))
	publishing, stop := context.WithCancel(w.ctx)
	var publisher sync.WaitGroup
	publisher.Go(func() { w.publish(publishing) })
	t.Cleanup(func() { stop(); publisher.Wait() })
	r := rand.New(rand.NewPCG(*listenSeed, 0))
	for range *listenRounds {
		if !w.receiver.reach(w.ctx, w.receiver.count()+1+r.IntN(40)) {
			t.Fatalf("no more events come (seed %d, %v):\n%s", *listenSeed, w.restarts, w.log.String())
		}
		w.fault(r)
	}
	stop()
	publisher.Wait()
	w.receiver.reach(w.ctx, len(w.acked))
	w.endListen(os.Interrupt) // what is under way comes before it ends
	w.account()
}

// account compares what was acknowledged with what came.
func (w *listenWorld) account() {
	w.t.Helper()
	times := map[string]int{}
	for _, id := range w.receiver.got {
		times[id]++
	}
	missed, twice, disorder := 0, 0, 0
	for i, id := range w.acked {
		switch n := times[id]; {
		case n == 0:
			missed++
		case n > 1:
			twice++
		case i >= len(w.receiver.got) || w.receiver.got[i] != id:
			disorder++
		}
	}
	w.t.Logf("seed %d: %d events acknowledged, %d requests; restarts %v; missed %d, twice %d, out of order %d",
		*listenSeed, len(w.acked), len(w.receiver.got), w.restarts, missed, twice, disorder)
	if missed+twice+disorder > 0 || len(w.receiver.got) != len(w.acked) {
		w.t.Errorf("not each once and in order:\n%s", w.log.String())
	}
	if bad := strings.Count(w.log.String(), `"verified":false`); bad > 0 {
		w.t.Errorf("%d requests do not verify", bad)
	}
}

func waitForFile(ctx context.Context, file string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
