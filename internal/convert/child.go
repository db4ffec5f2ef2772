package convert

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"syscall"
	"time"
)

// The limits of a child.
const (
	childMemory = 256 << 20 // bytes beyond what it begins with
	childStack  = 64 << 20  // bytes that calls may nest
)

// How a child that is one of ours is told from a command line.
const (
	childArg = "run-converters"
	childEnv = "GRAPNEL_CONVERTER"
)

// The exit codes of a child. The Go runtime ends by 2 where memory or stack are
// at an end.
const (
	exitFatal  = 2
	exitMemory = 3
	exitLate   = 4
	exitBusy   = 5
)

// able reports whether this process can start children: it would know in them
// what to do.
var able atomic.Bool

// Child makes this process a child of a Pool, if that is what it was started as,
// and does not return then. It must be the first thing that main, or TestMain,
// does: only then New makes a Pool.
func Child() {
	if os.Getenv(childEnv) != "" && len(os.Args) == 2 && os.Args[1] == childArg {
		os.Exit(child())
	}
	able.Store(true)
}

// child answers requests until its input ends, which it does with the parent.
func child() int {
	// The parent says when it is over, not whoever ends all processes at once.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	debug.SetMaxStack(childStack)
	debug.SetMemoryLimit(childMemory * 3 / 4)
	limited := limitMemory(childMemory)
	out := os.Stdout
	os.Stdout = os.Stderr // nobody else says anything there
	if _, err := out.Write([]byte{sayReady}); err != nil {
		return 1
	}
	var programs InProcess
	for in := bufio.NewReaderSize(os.Stdin, 64<<10); ; {
		r, err := readRequest(in)
		if err != nil {
			return 0
		}
		done := func() {}
		if !limited {
			done = watchMemory()
		}
		result, err := programs.answer(r, out)
		done()
		used, _ := cpuTime()
		if _, err := out.Write(answer(r.number, used, result, err)); err != nil {
			return 1
		}
	}
}

// answer does what a request wants.
func (p *InProcess) answer(r *request, out *os.File) (result []byte, err error) {
	last := 0
	begin := func(step int) {
		if last = step; step > 0 {
			_, _ = out.Write([]byte{sayStep}) // without it, a wrong step is named
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := endLate(r.limit, r.patience, cancel)
	if r.op == opRun {
		result, err = p.run(ctx, r.programs, r.data, begin)
	} else {
		_, err = p.compile(r.programs, begin)
	}
	switch late := stop(); {
	case late == nil || err == nil:
		return result, err
	case errors.Is(late, ErrUnavailable):
		return nil, late
	default:
		return nil, &StepError{Step: last, Err: late}
	}
}

// endLate cancels what takes too long, and ends the process if it does not mind.
// The time that counts is that of the processors, as far as it is known: a
// program is not to blame for what others do on the machine. stop says whether
// it was cancelled, and why.
func endLate(limit, patience time.Duration, cancel func()) (stop func() error) {
	begun := time.Now()
	before, known := cpuTime()
	done := make(chan struct{})
	var late atomic.Pointer[error]
	go func() {
		var why error
		exit := exitLate
		for wait := limit; ; {
			select {
			case <-done:
				return
			case <-time.After(wait):
			}
			if !known {
				why = errTooLong
				break
			}
			now, _ := cpuTime()
			used, left := now-before, patience-time.Since(begun)
			if used < limit && left > 0 {
				wait = min(max(limit-used, time.Millisecond), left)
				continue
			}
			if why = errTooLong; busy(used, limit) {
				why, exit = errBusy, exitBusy
			}
			break
		}
		late.Store(&why)
		cancel()
		select {
		case <-done:
		case <-time.After(grace):
			os.Exit(exit)
		}
	}()
	return func() error {
		close(done)
		if why := late.Load(); why != nil {
			return *why
		}
		return nil
	}
}

// watchMemory ends the process when it has too much memory, until done is
// called. It is for where the system does not.
func watchMemory() (done func()) {
	stop := make(chan struct{})
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		in := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			metrics.Read(in)
			if in[0].Value.Uint64()+in[1].Value.Uint64() > childMemory {
				os.Exit(exitMemory)
			}
		}
	}()
	return func() { close(stop) }
}
