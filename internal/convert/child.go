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
	exitOrphan = 4
)

// able reports whether this process can start children: it would know in them
// what to do.
var able atomic.Bool

// Child makes this process a child of a Pool, if that is what it was started as,
// and does not return then. It must be the first thing that main, or TestMain,
// does: only then New makes a Pool.
func Child() {
	if os.Getenv(childEnv) == "" {
		able.Store(true)
		return
	}
	if len(os.Args) == 2 && os.Args[1] == childArg {
		os.Exit(child())
	}
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
		// The parent kills us in time, if it lives.
		orphan := time.AfterFunc(r.limit+2*grace, func() { os.Exit(exitOrphan) })
		done := func() {}
		if !limited {
			done = watchMemory()
		}
		result, err := programs.answer(r, out)
		done()
		orphan.Stop()
		if _, err := out.Write(answer(r.number, result, err)); err != nil {
			return 1
		}
	}
}

// answer does what a request wants.
func (p *InProcess) answer(r *request, out *os.File) ([]byte, error) {
	begin := func(step int) {
		if step > 0 {
			_, _ = out.Write([]byte{sayStep}) // without it, a wrong step is named
		}
	}
	switch r.op {
	case opCheck:
		_, err := p.compile(r.programs, begin)
		return nil, err
	case opRun:
		ctx, cancel := context.WithTimeout(context.Background(), r.limit)
		defer cancel()
		return p.run(ctx, r.programs, r.data, begin)
	}
	return nil, errors.New("the converter was asked for what it cannot do")
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
