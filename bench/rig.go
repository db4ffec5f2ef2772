package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"grapnel/internal/child"
)

// rig starts the processes of a measurement. Every window of a scenario gets
// processes and a data folder of its own, unless it says otherwise.
type rig struct {
	Options
	dir      string
	key      string // the server's admin key
	http     *http.Client
	progress *progress
	started  int // servers so far
	turn     int // pairs of dialects so far
}

func newRig(o Options, p *progress) (*rig, error) {
	dir, err := os.MkdirTemp(o.Dir, "grapnel-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return &rig{Options: o, dir: dir, key: rand.Text(), http: &http.Client{Timeout: publishTimeout}, progress: p}, nil
}

func (r *rig) close() error {
	r.http.CloseIdleConnections()
	return os.RemoveAll(r.dir)
}

// worker is a worker process that has its orders.
type worker struct {
	*child.Process
	stdin, stdout *os.File
	answers       *json.Decoder
	log           *bytes.Buffer
}

func (r *rig) startWorker(role string, orders any) (*worker, error) {
	stdinRead, stdinWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdoutRead, stdoutWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdinRead.Close(), stdinWrite.Close())
	}
	w := &worker{stdin: stdinWrite, stdout: stdoutRead, answers: json.NewDecoder(stdoutRead), log: &bytes.Buffer{}}
	command := r.Work
	if len(command) == 0 {
		command = []string{r.Binary, "bench-worker"}
	}
	w.Process, err = child.Start(child.Config{
		Command: append(command[:len(command):len(command)], role), Stdin: stdinRead, Stdout: stdoutWrite, Stderr: w.log,
	})
	err = errors.Join(err, stdinRead.Close(), stdoutWrite.Close())
	if err == nil {
		_ = json.NewEncoder(stdinWrite).Encode(orders) // a worker that is gone already is told by its answer
	}
	if err != nil {
		w.end()
		return nil, fmt.Errorf("bench: %s worker: %w", role, err)
	}
	return w, nil
}

// answer waits for the worker's next line.
func (w *worker) answer(ctx context.Context, into any) error {
	stop := context.AfterFunc(ctx, func() { _ = w.stdin.Close() }) // it ends, and with it the answer
	defer stop()
	if err := w.answers.Decode(into); err != nil {
		w.end()
		return errors.Join(ctx.Err(), fmt.Errorf("bench worker ended: %w: %.500s", err, w.log))
	}
	return ctx.Err()
}

func (w *worker) end() {
	if w.Process != nil {
		w.Kill()
	}
	_ = w.stdin.Close() // both are pipes to a process that is gone
	_ = w.stdout.Close()
}

// runWorker starts a worker and waits for its one answer.
func runWorker[R any](ctx context.Context, r *rig, role string, orders any) (*R, error) {
	w, err := r.startWorker(role, orders)
	if err != nil {
		return nil, err
	}
	defer w.end()
	result := new(R)
	return result, w.answer(ctx, result)
}

// target is a running receiver.
type target struct {
	*worker
	receiverHello
	http *http.Client
}

func (r *rig) startReceiver(ctx context.Context, endpoints int) (*target, error) {
	w, err := r.startWorker(roleReceiver, receiverConfig{Endpoints: endpoints})
	if err != nil {
		return nil, err
	}
	t := &target{worker: w, http: r.http}
	return t, w.answer(ctx, &t.receiverHello)
}

// url is the n-th endpoint's; kind is "ok" or "hang".
func (t *target) url(kind string, n int) string {
	return fmt.Sprintf("http://%s/%s/%d", t.Addr, kind, n)
}

func (t *target) stats(ctx context.Context, whole bool) (*receiverStats, error) {
	url := "http://" + t.Control + "/stats"
	if whole {
		url += "?whole"
	}
	s := new(receiverStats)
	return s, call(ctx, t.http, http.MethodGet, url, "", nil, s)
}

// server is a running server.
type server struct {
	*child.Process
	rig  *rig
	addr string
	data string
	log  *os.File
}

// startServer starts a server on an empty data folder and waits until it is
// ready.
func (r *rig) startServer(ctx context.Context) (*server, error) {
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
	command := r.Serve
	if len(command) == 0 {
		command = []string{r.Binary, "serve", "--egress-allow", "127.0.0.0/8"}
	}
	command = append(command[:len(command):len(command)], "--data", data, "--listen", addr)
	s := &server{rig: r, addr: addr, data: data, log: log}
	env := append([]string{"GRAPNEL_ADMIN_KEY=" + r.key}, r.Env...)
	if s.Process, err = child.Start(child.Config{Command: command, Env: env, Stdout: log, Stderr: log}); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.Ready(ctx, "http://"+addr+"/readyz"); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: server: %w: %s", err, s.logTail()), s.end())
	}
	return s, nil
}

// end kills the server and removes its data.
func (s *server) end() error {
	s.Kill()
	return errors.Join(s.log.Close(), os.RemoveAll(s.data))
}

func (s *server) logTail() string {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-1000):])
}

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

// files counts the data folder's database files: segments come and go there.
func (s *server) files() int {
	n := 0
	_ = filepath.WalkDir(s.data, func(path string, _ os.DirEntry, err error) error { // a file may vanish meanwhile
		if err == nil && (filepath.Ext(path) == ".db" || filepath.Ext(path) == ".sqlite") {
			n++
		}
		return nil
	})
	return n
}

// call does one HTTP call; in and out are JSON, or nil.
func call(ctx context.Context, client *http.Client, method, url, key string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it has been read by then
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, url, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.300s", method, url, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, url, err)
	}
	return nil
}
