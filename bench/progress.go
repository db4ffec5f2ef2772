package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress tells how far a long measurement is: a bar on a terminal, else a
// line every ten seconds.
type progress struct {
	out   io.Writer
	tty   bool
	total time.Duration // of load, expected
	stop  chan struct{}
	ended sync.WaitGroup
	once  sync.Once

	mu    sync.Mutex
	done  time.Duration // expected time of the steps that are over
	now   time.Duration // expected time of this one
	since time.Time
	what  string
}

const barWidth = 30

func newProgress(out io.Writer, total time.Duration) *progress {
	p := &progress{out: out, total: max(total, time.Second), stop: make(chan struct{}), since: time.Now(), what: "starting"}
	every := 10 * time.Second
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.tty, every = true, 200*time.Millisecond
	}
	p.ended.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-ticker.C:
				p.print(time.Now())
			}
		}
	})
	return p
}

// step begins the next piece of work, which is expected to take about d.
func (p *progress) step(d time.Duration, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += p.now
	p.now, p.since, p.what = d, time.Now(), fmt.Sprintf(format, args...)
}

// note says more closely what the present step does.
func (p *progress) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = fmt.Sprintf(format, args...)
}

func (p *progress) print(now time.Time) {
	p.mu.Lock()
	spent := now.Sub(p.since)
	part := float64(p.done+min(spent, p.now)) / float64(p.total)
	what := p.what
	p.mu.Unlock()
	part = min(part, 1)
	if !p.tty {
		fmt.Fprintf(p.out, "bench: %3.0f %%  %s, %.0f s\n", 100*part, what, spent.Seconds())
		return
	}
	filled := int(part * barWidth)
	fmt.Fprintf(p.out, "\r\x1b[K[%s%s] %3.0f %%  %s", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), 100*part, what)
}

// close ends the display. It may be called again.
func (p *progress) close() {
	p.once.Do(func() {
		close(p.stop)
		p.ended.Wait()
		if p.tty {
			fmt.Fprint(p.out, "\r\x1b[K")
		}
	})
}
