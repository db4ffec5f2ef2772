package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The roles of worker processes.
const (
	roleLoad     = "load"
	roleReceiver = "receiver"
	roleBare     = "bare"
	roleSeed     = "seed"
)

// Worker is what a worker process runs. It reads its orders as one line of
// JSON from stdin and writes its answers as lines to stdout; it ends when it
// is done, or when stdin ends, so that none outlives its parent.
func Worker(ctx context.Context, role string, stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	orders, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("bench worker: read orders: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // blocks until the parent closes it or dies
		cancel()
	}()
	switch role {
	case roleLoad:
		return obey(orders, stdout, func(c loadConfig) (*loadResult, error) { return load(ctx, c), nil })
	case roleBare:
		return obey(orders, stdout, func(c bareConfig) (*bareResult, error) { return bare(ctx, c) })
	case roleReceiver:
		var c receiverConfig
		if err := json.Unmarshal(orders, &c); err != nil {
			return fmt.Errorf("bench worker: orders: %w", err)
		}
		return receive(ctx, c, func(h receiverHello) error { return json.NewEncoder(stdout).Encode(h) })
	case roleSeed:
		var c seedConfig
		if err := json.Unmarshal(orders, &c); err != nil {
			return fmt.Errorf("bench worker: orders: %w", err)
		}
		return seed(ctx, c, func(s seedResult) error { return json.NewEncoder(stdout).Encode(s) })
	}
	return errors.New("bench worker: the role must be load, receiver, bare or seed")
}

func obey[C, R any](orders []byte, stdout io.Writer, do func(C) (R, error)) error {
	var c C
	if err := json.Unmarshal(orders, &c); err != nil {
		return fmt.Errorf("bench worker: orders: %w", err)
	}
	r, err := do(c)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}
