package crash

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"grapnel/internal/child"
	"grapnel/internal/ledger"
	"grapnel/internal/pgproxy"
)

// node is one of several servers of a database, over many starts.
type node struct {
	world  *nodes
	number int
	addr   string
	store  string         // the database's URL as this node has it
	proxy  *pgproxy.Proxy // through which that leads; nil: none
	starts int

	mu      sync.Mutex // the receiver asks who is who meanwhile
	process *child.Process
}

// name is that of the present start: none is the beginning of another.
func (n *node) name() string { return fmt.Sprintf("n%d.%04d", n.number, n.starts) }

// start starts the node and waits until it is ready.
func (n *node) start(ctx context.Context) error {
	n.mu.Lock()
	n.starts++
	w := n.world
	command := append(slices.Clone(w.Command), "--listen", n.addr, "--node", n.name(), "--lease", w.opts.Lease.String(), "--renew", (w.opts.Lease / 4).String())
	env := append([]string{
		"GRAPNEL_ADMIN_KEY=" + w.key, "GRAPNEL_SECRET_KEY=" + w.secret, "GRAPNEL_STORE=" + n.store + "&application_name=" + n.name(),
	}, w.Env...)
	p, err := child.Start(child.Config{Command: command, Env: env, Stdout: w.log, Stderr: w.log})
	n.process = p
	n.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if err := p.Ready(ctx, "http://"+n.addr+"/readyz"); err != nil {
		return fmt.Errorf("crash: node %s: %w: %s", n.name(), err, w.logTail())
	}
	return nil
}

// kill ends the node with SIGKILL. It is stopped first, until the receiver has accepted
// whatever connection it made, and knows from whom it is.
func (n *node) kill(ctx context.Context) error {
	if err := n.process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("crash: stop %s: %w", n.name(), err)
	}
	err := n.world.receiver.Barrier(ctx)
	n.process.Kill()
	if err != nil {
		return err
	}
	n.world.fault(ledger.Fault{At: time.Now(), Kind: "kill", Node: n.name()})
	return nil
}

// stop ends the node in good order, and says how long that took.
func (n *node) stop(ctx context.Context) (took time.Duration, err error) {
	limited, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	asked := time.Now()
	if err := n.process.Stop(limited); err != nil {
		return 0, fmt.Errorf("%s: %w", n.name(), err)
	}
	took = time.Since(asked)
	if err := n.world.receiver.Barrier(ctx); err != nil {
		return 0, err
	}
	n.world.fault(ledger.Fault{At: time.Now(), Kind: "restart", Node: n.name(), Orderly: true})
	return took, nil
}

// freeze stops the node's process for a while.
func (n *node) freeze(ctx context.Context, d time.Duration) error {
	from := time.Now()
	if err := n.process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("crash: stop %s: %w", n.name(), err)
	}
	slept := sleep(ctx, nil, d)
	if err := n.process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("crash: let %s go on: %w", n.name(), err)
	}
	n.world.fault(ledger.Fault{From: from, At: time.Now(), Kind: "stop", Node: n.name()})
	if !slept {
		return ctx.Err()
	}
	return nil
}

// alive reports whether it answers that it is ready.
func (n *node) alive(ctx context.Context, client *http.Client) bool {
	return child.Answers(ctx, client, "http://"+n.addr+"/readyz")
}

// fault notes what was done.
func (w *nodes) fault(f ledger.Fault) { w.faults = append(w.faults, f) }
