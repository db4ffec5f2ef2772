package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// How often progress is told: a bar is drawn anew, or another line is written.
const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 10 * time.Second
)

// progress tells on standard error how far something is: as a bar on a
// terminal, else as a line every ten seconds. It may be used by several
// goroutines. A nil *progress tells nothing.
type progress struct {
	out   io.Writer
	label string
	total int64 // 0: not known
	bar   bool
	now   func() time.Time

	mu    sync.Mutex
	n     int64
	begun time.Time
	told  time.Time
	drawn bool
}

// progress begins to tell how far something with a total (0: not known) is.
// Its end must be called.
func (p *program) progress(total int64, label string) *progress {
	if p.Quiet {
		return nil
	}
	now := time.Now()
	return &progress{
		out: p.stderr, label: plain(label), total: total, now: time.Now, begun: now, told: now,
		bar: terminal(p.stderr) && p.getenv("TERM") != "dumb",
	}
}

// set says how much is done.
func (g *progress) set(n int64) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.advance(n - g.n)
}

// add says that so much more is done.
func (g *progress) add(n int64) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.advance(n)
}

func (g *progress) advance(by int64) {
	g.n += by
	every := lineEvery
	if g.bar {
		every = barEvery
	}
	if now := g.now(); now.Sub(g.told) >= every {
		g.told = now
		g.tell(now)
	}
}

// grow changes the total, where it becomes known late.
func (g *progress) grow(total int64) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total = total
}

// end takes the bar away.
func (g *progress) end() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.drawn {
		fmt.Fprint(g.out, "\r\x1b[K")
		g.drawn = false
	}
}

const barWidth = 30

func (g *progress) tell(now time.Time) {
	amount := fmt.Sprint(g.n)
	if g.total > 0 {
		amount = fmt.Sprintf("%d of %d", g.n, g.total)
	}
	if !g.bar {
		fmt.Fprintf(g.out, "%s: %s after %s\n", g.label, amount, span(now.Sub(g.begun)))
		return
	}
	line := g.label + "  "
	if g.total > 0 {
		full := int(min(g.n, g.total) * barWidth / g.total)
		line += "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "]  "
	}
	line += amount + "  " + span(now.Sub(g.begun))
	if f, ok := g.out.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			line = clip(line, max(1, width-2)) // a line that wraps could not be drawn over
		}
	}
	fmt.Fprint(g.out, "\r\x1b[K"+line)
	g.drawn = true
}
