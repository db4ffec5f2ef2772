package convert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"
)

// maxChildren is how many children a Pool has at most.
const maxChildren = 4

// PoolConfig says how a Pool works. The zero value will do.
type PoolConfig struct {
	Children int           // at once; 0: as many as this process may use cores, at most 4
	Deadline time.Duration // of a request, in time of the processors; 0: Deadline
	Patience time.Duration // of a request, by the clock; 0: five times Deadline
	Modest   bool          // children are the last to get a processor
	Wait     time.Duration // for a child that is free; 0: ten seconds
	Idle     time.Duration // after which a child that has nothing to do ends; 0: a minute
	Logger   *slog.Logger  // nil: nothing is logged

	command func() (*exec.Cmd, error) // that a child is started by; nil: command
}

// Pool runs programs in child processes, which a program cannot leave: one that
// takes too long or too much memory ends its child alone. Children are started
// when there is something to do. Those who wait take turns by their party, or by what
// they want to run, so that a slow converter does not keep the others waiting.
type Pool struct {
	PoolConfig

	life context.Context // of the children
	die  func()
	use  sync.WaitGroup // calls and sweeps in progress

	mu     sync.Mutex
	closed bool
	busy   int        // children that work, or are being started
	idle   []*process // the longest idle first
	lines  []*line    // who waits; the next turn is the first one's
	sweep  *time.Timer
}

// line are those who wait of one party.
type line struct {
	party   string
	waiting []chan *process // of room 1: gets a child, or nil to start one
}

// NewPool makes a Pool of this program's children, which must be ended by Close.
func NewPool(c PoolConfig) *Pool {
	if c.Children <= 0 {
		c.Children = min(maxChildren, runtime.GOMAXPROCS(0))
	}
	c.Deadline = or(c.Deadline, Deadline)
	c.Patience, c.Wait, c.Idle = or(c.Patience, slow*c.Deadline), or(c.Wait, 10*time.Second), or(c.Idle, time.Minute)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.command == nil {
		c.command = command
	}
	p := &Pool{PoolConfig: c}
	p.life, p.die = context.WithCancel(context.Background())
	return p
}

func or(d, instead time.Duration) time.Duration {
	if d <= 0 {
		return instead
	}
	return d
}

// Check implements Runner.
func (p *Pool) Check(ctx context.Context, programs []string) error {
	if len(programs) == 0 {
		return nil
	}
	_, err := p.do(ctx, programs[0], opCheck, programs, nil)
	return err
}

// Run implements Runner.
func (p *Pool) Run(ctx context.Context, programs []string, data []byte) ([]byte, error) {
	if len(programs) == 0 {
		return data, nil
	}
	return p.do(ctx, programs[0], opRun, programs, data)
}

// do asks a child, and once more if it was killed from outside: that may be the
// system, short of memory for other reasons.
func (p *Pool) do(ctx context.Context, party string, op byte, programs []string, data []byte) ([]byte, error) {
	// What is too long for a program need not reach a child.
	if i := slices.IndexFunc(programs, func(s string) bool { return len(s) > MaxSource }); i >= 0 {
		_, err := Compile(programs[i])
		return nil, &StepError{Step: i, Err: err}
	}
	r := &request{op: op, limit: p.Deadline, patience: p.Patience, programs: programs, data: data}
	out, err := p.once(ctx, party, r)
	if errors.Is(err, errKilled) {
		p.forget() // they may be gone, too
		out, err = p.once(ctx, party, r)
	}
	var failed *StepError
	switch {
	case errors.Is(err, errKilled) && errors.As(err, &failed):
		return nil, &StepError{Step: failed.Step, Err: errDied}
	case err != nil && !errors.As(err, &failed) && p.life.Err() != nil:
		return nil, fmt.Errorf("%w: the server is stopping", ErrUnavailable)
	}
	return out, err
}

func (p *Pool) once(ctx context.Context, party string, r *request) ([]byte, error) {
	c, err := p.take(ctx, party)
	if err != nil {
		return nil, err
	}
	defer p.use.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	if c == nil {
		if c, err = start(ctx, p.command, p.Modest); err != nil {
			p.give(nil)
			p.Logger.Error("no process can be started for converters", "error", err)
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	out, ok, err := c.ask(ctx, r)
	if !ok {
		p.Logger.Warn("a process for converters has ended", "ended", c.cmd.ProcessState.String(), "error", err)
		c = nil
	}
	p.give(c)
	return out, err
}

// take waits for a turn. It gives a child, or nil for the right to start one,
// which give takes back; and p.use is to be done.
func (p *Pool) take(ctx context.Context, party string) (*process, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, fmt.Errorf("%w: the server is stopping", ErrUnavailable)
	}
	p.use.Add(1)
	if p.busy < p.Children {
		p.busy++
		var c *process
		if n := len(p.idle); n > 0 {
			c, p.idle = p.idle[n-1], p.idle[:n-1]
		}
		p.mu.Unlock()
		return c, nil
	}
	turn := make(chan *process, 1)
	p.queue(party, turn)
	p.mu.Unlock()

	late := time.NewTimer(p.Wait)
	defer late.Stop()
	var err error
	select {
	case c := <-turn:
		return c, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-late.C:
		err = fmt.Errorf("%w: others have been running for %s", ErrUnavailable, p.Wait)
	case <-p.life.Done():
		err = fmt.Errorf("%w: the server is stopping", ErrUnavailable)
	}
	if !p.leave(party, turn) {
		p.give(<-turn) // it came at the same moment
	}
	p.use.Done()
	return nil, err
}

// queue puts a waiting one into the line of its party.
func (p *Pool) queue(party string, turn chan *process) {
	i := slices.IndexFunc(p.lines, func(l *line) bool { return l.party == party })
	if i < 0 {
		i = len(p.lines)
		p.lines = append(p.lines, &line{party: party})
	}
	p.lines[i].waiting = append(p.lines[i].waiting, turn)
}

// leave takes one out of its line. It reports whether it was there.
func (p *Pool) leave(party string, turn chan *process) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.lines, func(l *line) bool { return l.party == party })
	if i < 0 {
		return false
	}
	l := p.lines[i]
	at := slices.Index(l.waiting, turn)
	if at < 0 {
		return false
	}
	if l.waiting = slices.Delete(l.waiting, at, at+1); len(l.waiting) == 0 {
		p.lines = slices.Delete(p.lines, i, i+1)
	}
	return true
}

// give hands a child, or the right to start one, to the next in turn. c is nil
// if the child is gone.
func (p *Pool) give(c *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) > 0 {
		l := p.lines[0]
		p.lines = p.lines[1:]
		turn := l.waiting[0]
		if l.waiting = l.waiting[1:]; len(l.waiting) > 0 {
			p.lines = append(p.lines, l)
		}
		turn <- c
		return
	}
	p.busy--
	if c == nil {
		return
	}
	c.idle = time.Now()
	p.idle = append(p.idle, c)
	if !p.closed && p.sweep == nil {
		p.sweep = time.AfterFunc(p.Idle, p.endIdle)
	}
}

// endIdle ends children that have had nothing to do for long.
func (p *Pool) endIdle() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.use.Add(1)
	defer p.use.Done()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].idle) >= p.Idle {
		n++
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.sweep = nil
	if len(p.idle) > 0 {
		p.sweep = time.AfterFunc(p.Idle-time.Since(p.idle[0].idle), p.endIdle)
	}
	p.mu.Unlock()
	for _, c := range old {
		c.end()
	}
}

// forget ends all children that have nothing to do.
func (p *Pool) forget() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.end()
	}
}

// Close ends all children. Who runs something gets ErrUnavailable.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.mu.Unlock()
	p.die()
	p.use.Wait()
	p.forget()
}
