package convert

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Runner runs programs, given by their text. Its methods may be called by
// several goroutines at once.
//
// A mistake of a program's is a *StepError, whose Err is a *hook.Error of
// CodeInvalid where the program is no program at all. Any other error, such as
// ErrUnavailable or that of ctx, says nothing about the programs: try later.
type Runner interface {
	// Check compiles programs, and does not run them.
	Check(ctx context.Context, programs []string) error
	// Run sends data through programs, one after the other. Without programs
	// the result is data itself.
	Run(ctx context.Context, programs []string, data []byte) ([]byte, error)
}

// ErrUnavailable says that programs cannot be run now, for no fault of theirs.
var ErrUnavailable = errors.New("converters cannot be run now")

// errTurn says that the place for costly programs has not become free.
var errTurn = fmt.Errorf("%w: the tenant's programs take so long that they wait for each other; see whether they can be simpler", ErrUnavailable)

// errDied is what is known of a program that ended the process it ran in.
var errDied = errors.New("the program used too much memory or nested too deep")

var errTooLong = fmt.Errorf("the program took too long: all programs of an event have %s together", Deadline)

// New makes a Runner: a Pool where this process can be its own child, because it
// called Child when it began, and else an InProcess, as in tests and tools.
// Whoever has it must end it by the function that comes with it.
func New(c PoolConfig) (r Runner, end func()) {
	if !able.Load() {
		return &InProcess{Deadline: c.Deadline}, func() {}
	}
	p := NewPool(c)
	return p, p.Close
}

// InProcess runs programs in this process, which a program can end: for tests,
// and for the children of a Pool. The zero value is ready for use.
type InProcess struct {
	Deadline time.Duration // of a run; 0: Deadline

	programs Cache
}

// Check implements Runner.
func (r *InProcess) Check(ctx context.Context, programs []string) error {
	_, err := r.do(ctx, "", opCheck, programs, nil)
	return err
}

// Run implements Runner.
func (r *InProcess) Run(ctx context.Context, programs []string, data []byte) ([]byte, error) {
	return r.do(ctx, "", opRun, programs, data)
}

func (r *InProcess) do(ctx context.Context, _ string, op byte, programs []string, data []byte) ([]byte, error) {
	if op == opCheck {
		_, err := r.compile(programs, func(int) {})
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, or(r.Deadline, Deadline))
	defer cancel()
	return r.run(ctx, programs, data, func(int) {})
}

func (r *InProcess) run(ctx context.Context, programs []string, data []byte, begin func(step int)) ([]byte, error) {
	compiled, err := r.compile(programs, func(int) {})
	if err != nil {
		return nil, err
	}
	return run(ctx, compiled, data, begin)
}

func (r *InProcess) compile(programs []string, begin func(step int)) ([]*Program, error) {
	compiled := make([]*Program, len(programs))
	for i, source := range programs {
		begin(i)
		var err error
		if compiled[i], err = r.programs.Get(source); err != nil {
			return nil, &StepError{Step: i, Err: err}
		}
	}
	return compiled, nil
}
