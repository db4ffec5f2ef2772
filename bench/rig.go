package bench

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
	started  int        // servers so far
	stores   *databases // nil: servers have data folders
	turn     int        // pairs so far
}

func newRig(o Options, p *progress) (*rig, error) {
	dir, err := os.MkdirTemp(o.Dir, "grapnel-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	r := &rig{Options: o, dir: dir, key: rand.Text(), http: &http.Client{Timeout: publishTimeout}, progress: p}
	if r.stores, err = newDatabases(o.Store, newSecretKey()); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: %w", err), r.close())
	}
	return r, nil
}

// newSecretKey makes a key that servers seal secrets with.
func newSecretKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return base64.StdEncoding.EncodeToString(key)
}

func (r *rig) close() error {
	r.http.CloseIdleConnections()
	if r.stores != nil && r.stores.Cluster != nil {
		r.stores.End()
	}
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

// inTurn does two things, in the other order every other time, so that what comes
// second is not always the same.
func (r *rig) inTurn(one, other func() error) error {
	if r.turn++; r.turn%2 == 0 {
		one, other = other, one
	}
	if err := one(); err != nil {
		return err
	}
	return other()
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
