package dispatch

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLimiterGrowsAndGivesWay(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	now := time.Unix(0, 0)
	if got := l.allowed(128); got != startLimit {
		t.Errorf("a new lane may send %d at once", got)
	}
	for range 200 {
		l.succeeded(l.allowed(128), 128)
	}
	if got := l.allowed(128); got != 128 {
		t.Errorf("after 200 good answers %d", got)
	}
	now = now.Add(time.Second)
	l.strained(now.Add(-time.Millisecond), now)
	if got := l.allowed(128); got != 64 {
		t.Errorf("after one strain %d", got)
	}
	l.strained(now.Add(-time.Millisecond), now.Add(time.Millisecond)) // of the same moment
	if got := l.allowed(128); got != 64 {
		t.Errorf("two strains of one moment count twice: %d", got)
	}
	for range 64 {
		l.succeeded(64, 128)
	}
	if got := l.allowed(128); got != 65 && got != 64 {
		t.Errorf("above the limit of its last strain it grows to %d within a round", got)
	}
	for i := range collapseAfter {
		l.strained(now, now.Add(time.Duration(i)*time.Second))
	}
	if got := l.allowed(128); got != 1 {
		t.Errorf("after strains in a row %d", got)
	}
	l.succeeded(1, 128)
	l.succeeded(2, 128)
	if got := l.allowed(128); got != 3 {
		t.Errorf("after the collapse two good answers give %d", got)
	}
}

func TestLimiterDoesNotGrowUnused(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	for range 100 {
		l.succeeded(1, 128)
	}
	if got := l.allowed(128); got != startLimit {
		t.Errorf("one request at a time grew the limit to %d", got)
	}
}

func TestLimiterStaysWithinBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 300).Draw(t, "most")
		l := newLimiter()
		now := time.Unix(0, 0)
		for range rapid.IntRange(1, 500).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			before := l.allowed(most)
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				l.strained(now.Add(-time.Duration(rapid.IntRange(0, 3000).Draw(t, "took"))*time.Millisecond), now)
				if l.allowed(most) > before {
					t.Fatal("a strain raised the limit")
				}
			case 1:
				l.restart()
			default:
				l.succeeded(rapid.IntRange(1, most).Draw(t, "running"), most)
				if got := l.allowed(most); got < before || got > before+1 {
					t.Fatalf("a good answer took the limit from %d to %d", before, got)
				}
			}
			if got := l.allowed(most); got < 1 || got > most {
				t.Fatalf("the limit is %d of at most %d", got, most)
			}
		}
	})
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	var b breaker
	now := time.Unix(0, 0)
	for i := range breakAfter {
		if !b.allows(now, 100) {
			t.Fatalf("open after %d failures", i)
		}
		if opened := b.failed(now, now, 0, 0); opened != (i == breakAfter-1) {
			t.Fatalf("opened after %d failures: %v", i+1, opened)
		}
	}
	if b.allows(now, 0) || !b.allows(now.Add(minPause), 0) || b.allows(now.Add(minPause), 1) {
		t.Error("want one probe after the pause, and one alone")
	}
	b.failed(now.Add(-time.Second), now.Add(time.Second), 0, 0) // began before it opened
	if b.pause != minPause {
		t.Errorf("an old request prolonged the pause to %s", b.pause)
	}
	for range 10 {
		now = b.until
		b.failed(now, now, 0, 0.999)
	}
	if got := b.until.Sub(now); got < maxPause || got > maxPause*9/8 {
		t.Errorf("the longest pause is %s", got)
	}
	if !b.answered() || !b.allows(now, 5) {
		t.Error("an answer does not close it")
	}
}

// A throttled endpoint's own wish counts, within the longest pause.
func TestBreakerHonoursWait(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]time.Duration{0: minPause, 7 * time.Second: 7 * time.Second, time.Hour: maxPause} {
		var b breaker
		now := time.Unix(0, 0)
		for range breakAfter {
			b.failed(now, now, wait, 0)
		}
		if got := b.until.Sub(now); got != want {
			t.Errorf("asked to wait %s, it pauses %s", wait, got)
		}
	}
}

// No window of a second sees more than 1.1 × the rate, and the rate is reached.
func TestPacer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.5, 5000).Draw(t, "rate")
		var p pacer
		now := time.Unix(1000, 0)
		var sent []time.Time
		for range rapid.IntRange(10, 3000).Draw(t, "requests") {
			if rapid.IntRange(0, 50).Draw(t, "idle") == 0 {
				now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			}
			now = now.Add(p.wait(rate, now))
			p.spend(rate, now)
			sent = append(sent, now)
		}
		first := 0
		for i, at := range sent {
			for sent[first].Add(time.Second).Compare(at) <= 0 {
				first++
			}
			if n := float64(i - first + 1); n > rate*1.1+1 {
				t.Fatalf("%v requests within a second at a rate of %v", n, rate)
			}
		}
	})
}

func TestPacerWithoutRate(t *testing.T) {
	t.Parallel()
	var p pacer
	now := time.Unix(5, 0)
	for range 100 {
		if w := p.wait(0, now); w != 0 {
			t.Fatalf("no rate, and a wait of %s", w)
		}
		p.spend(0, now)
	}
	if w := p.wait(10, now); w != 0 { // case 60: a lane that was never used
		t.Errorf("the first request waits %s", w)
	}
}

func TestListKeepsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var l list[int]
		var model []*node[int]
		for i := range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 3).Draw(t, "op"); {
			case op == 0 && len(model) > 0:
				at := rapid.IntRange(0, len(model)-1).Draw(t, "at")
				if !model[at].leave() || model[at].leave() {
					t.Fatal("leaving twice, or not at all")
				}
				model = append(model[:at:at], model[at+1:]...)
			case op == 1 && len(model) > 0:
				if l.rotate() != model[0].of {
					t.Fatal("rotate gives another than the first")
				}
				model = append(model[1:len(model):len(model)], model[0])
			default:
				n := &node[int]{of: i}
				l.push(n)
				model = append(model, n)
			}
			k, at := 0, l.first
			for ; at != nil; at = at.next {
				if at != model[k] || at.in != &l {
					t.Fatalf("place %d is wrong", k)
				}
				k++
			}
			if k != len(model) || l.n != k || l.n > 0 && l.last != model[k-1] {
				t.Fatalf("the list has %d of %d", k, len(model))
			}
		}
	})
}
