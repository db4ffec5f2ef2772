package convert

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"
)

const (
	startTime = 20 * time.Second // that a child has to begin
	grace     = 250 * time.Millisecond
	slow      = 5 // times as long as its limit may a program take on a machine with too much to do, unless it is said
)

// Why a child was killed.
const (
	notKilled int32 = iota
	overDeadline
	nobodyWaits
	talksNonsense
)

// process is a child as its parent has it.
type process struct {
	cmd    *exec.Cmd
	in     *os.File
	out    *os.File
	reader *bufio.Reader
	killed atomic.Int32  // why
	asked  uint64        // requests so far
	used   time.Duration // of the processors, at the last answer, as far as is known
	idle   time.Time     // since when
}

// start starts a child and waits until it is ready.
func start(ctx context.Context, command func() (*exec.Cmd, error), modest bool) (*process, error) {
	cmd, err := command()
	if err != nil {
		return nil, err
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	cmd.Stdin, cmd.Stdout = theirIn, theirOut
	if modest {
		apart(cmd)
	}
	err = cmd.Start()
	theirIn.Close()
	theirOut.Close()
	p := &process{cmd: cmd, in: in, out: out, reader: bufio.NewReaderSize(out, 16<<10)}
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	stop := p.killAt(ctx, startTime)
	kind, err := p.reader.ReadByte()
	if !stop() || err != nil || kind != sayReady {
		p.end()
		return nil, fmt.Errorf("a process for converters does not begin: %v, it ended by %q", err, p.cmd.ProcessState)
	}
	if modest {
		yield(cmd.Process.Pid)
	}
	return p, nil
}

// command is how this program is started as a child. Nothing of the environment
// goes there: it holds secrets.
func command() (*exec.Cmd, error) {
	program, err := self()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: program, Args: []string{"grapnel", childArg}, Env: []string{childEnv + "=1", "GOMAXPROCS=1", "GOTRACEBACK=none"}}
	tie(cmd)
	return cmd, nil
}

// kill ends a child, for the first reason that there is.
func (p *process) kill(why int32) {
	if p.killed.CompareAndSwap(notKilled, why) {
		_ = p.cmd.Process.Kill() // it may have ended
	}
}

// killAt kills a child after some time, or when ctx ends, unless stop is called
// before. stop reports that it was.
func (p *process) killAt(ctx context.Context, after time.Duration) (stop func() bool) {
	timer := time.AfterFunc(after, func() { p.kill(overDeadline) })
	unhook := context.AfterFunc(ctx, func() { p.kill(nobodyWaits) })
	return func() bool {
		inTime, wanted := timer.Stop(), unhook()
		return inTime && wanted
	}
}

// end kills a child and waits until it is gone.
func (p *process) end() {
	p.kill(nobodyWaits)
	p.wait()
}

func (p *process) wait() {
	p.in.Close()
	p.out.Close()
	_ = p.cmd.Wait() // how it ended is in cmd.ProcessState
}

// errKilled says that something else than this program, or than what it ran,
// has ended a child.
var errKilled = errors.New("the process that ran the program was killed")

// ask sends a request and reads the answer. ok reports whether the child can be
// asked again; else it is gone.
func (p *process) ask(ctx context.Context, r *request) (out []byte, ok bool, err error) {
	p.asked++
	r.number = p.asked
	stop := p.killAt(ctx, r.patience+2*grace)
	step := 0
	if _, err = p.in.Write(r.encode()); err == nil {
		out, step, err = readAnswer(p.reader, r, &p.used)
	}
	var failed *StepError
	told := err == nil || errors.As(err, &failed) || err == errBusy
	switch {
	case told && stop():
		return out, true, err
	case told:
		p.end() // the time was over at the same moment
		return out, false, err
	case errors.Is(err, errNonsense):
		p.kill(talksNonsense)
		stop()
		p.wait()
	default:
		p.died()
		stop()
	}
	return nil, false, p.why(ctx, step, r.limit)
}

// died waits for a child that has ended its output.
func (p *process) died() {
	late := time.AfterFunc(time.Second, func() { p.kill(talksNonsense) })
	defer late.Stop()
	p.wait()
}

// why says why a child that is gone gave no answer.
func (p *process) why(ctx context.Context, step int, limit time.Duration) error {
	switch p.killed.Load() {
	case overDeadline:
		state := p.cmd.ProcessState
		if busy(state.UserTime()+state.SystemTime()-p.used, limit) {
			return errBusy
		}
		return &StepError{Step: step, Err: errTooLong}
	case nobodyWaits:
		if err := ctx.Err(); err != nil {
			return err
		}
	case talksNonsense:
		return fmt.Errorf("%w: the process that ran the program answered what is no answer", ErrUnavailable)
	}
	switch p.cmd.ProcessState.ExitCode() {
	case exitFatal, exitMemory:
		return &StepError{Step: step, Err: errDied}
	case exitLate:
		return &StepError{Step: step, Err: errTooLong}
	case exitBusy:
		return errBusy
	}
	return &StepError{Step: step, Err: errKilled}
}
