package convert

import (
	"context"
	"os/exec"
)

// Run sends data through compiled programs within Deadline, as InProcess does.
func Run(ctx context.Context, programs []*Program, data []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	return run(ctx, programs, data, func(int) {})
}

// Started makes a Pool whose children are started otherwise.
func Started(c PoolConfig, by func() *exec.Cmd) *Pool {
	c.command = func() (*exec.Cmd, error) { return by(), nil }
	return NewPool(c)
}

// PIDs are the processes of the children that have nothing to do.
func (p *Pool) PIDs() (list []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		list = append(list, c.cmd.Process.Pid)
	}
	return list
}

// WireRound writes a request and reads it again.
func WireRound(programs []string, data []byte) ([]string, []byte, error) {
	b := (&request{op: opRun, programs: programs, data: data}).encode()
	r, err := decodeRequest(b[4:])
	if err != nil {
		return nil, nil, err
	}
	return r.programs, r.data, nil
}

// Busy is how many children work.
func (p *Pool) Busy() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy
}

// Waiting is how many callers wait for a turn.
func (p *Pool) Waiting() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		n += len(l.waiting)
	}
	return n
}
