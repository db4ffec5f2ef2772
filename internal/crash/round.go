package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"grapnel/internal/ledger"
)

// plan says how one round goes.
type plan struct {
	name    string
	random  *rand.Rand
	orderly bool          // SIGTERM instead of SIGKILL
	cut     bool          // SIGTERM, and SIGKILL before it has ended, or after
	point   bool          // a crash point is armed: it ends itself
	reached bool          // it has ended itself already
	env     []string      // of the start after the fault
	load    time.Duration // at least so long before the fault; 0: as Options say
	before  bool          // it only prepares: it reaches no point and is not counted
	// disturb is what happens under load; nil: the server is ended and started again.
	disturb func(ctx context.Context, r *Round) error
}

const (
	// pointLimit is how long an armed point may take to be reached.
	pointLimit = 4 * time.Second
	// stopLimit is how long SIGTERM may take.
	stopLimit = 40 * time.Second
	// cutLimit is how long a server that was asked to end has at most before SIGKILL.
	cutLimit = 60 * time.Millisecond
	// afterRestart is how long the load goes on once the server is back.
	afterRestart = 60 * time.Millisecond
	// settlePoll is the pause between two looks at what has arrived.
	settlePoll = 15 * time.Millisecond
	// grace is how long a delivery may have been due once all had time to settle.
	grace = 2 * time.Second
	// detailLimit is how many deliveries' attempts are fetched in a round.
	detailLimit = 300
)

// round publishes, ends the server, starts it again, waits and checks.
func (w *world) round(ctx context.Context, report *Report, p plan) error {
	w.rounds++
	r := Round{Name: p.name, Reached: p.reached, Before: p.before}
	began := time.Now()
	path := filepath.Join(w.Dir, fmt.Sprintf("producer-%s.ndjson", strings.NewReplacer(" ", "-", ":", "-").Replace(p.name)))
	book, err := ledger.CreateProducer(path)
	if err != nil {
		return err
	}
	w.book = book
	w.receiver.Forget()
	w.faults = nil
	producer := &producer{world: w, round: w.rounds, book: book}
	stop, stopped := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seed := p.random.Uint64()
	go func() { defer close(stopped); producer.run(ctx, seed, stop) }()
	if p.disturb != nil {
		err = p.disturb(ctx, &r)
	} else {
		err = w.disturb(ctx, p, &r)
	}
	close(stop)
	if err != nil {
		cancel()
	}
	<-stopped
	if failed := producer.failed.Load(); failed != nil {
		err = errors.Join(err, *failed)
	}
	if err == nil {
		err = w.settle(ctx, book, began, &r)
	}
	if err = errors.Join(err, book.Close()); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	r.Took = time.Since(began)
	report.Rounds = append(report.Rounds, r)
	w.tell(&r)
	if len(r.Findings) == 0 {
		return os.Remove(path)
	}
	return nil
}

func (w *world) tell(r *Round) {
	fmt.Fprintf(w.Log, "%-24s %s  acked %d, unknown %d, requests %d, duplicates %d of %d in flight, first delivery %s, ready %s, findings %d\n",
		r.Name, round(r.Took), r.Summary.Acknowledged, r.Summary.Unknown, r.Summary.Requests, r.Summary.Duplicates, r.Summary.InFlight,
		round(r.First), round(r.Ready), len(r.Findings))
	for i, f := range r.Findings {
		if i == 10 {
			fmt.Fprintf(w.Log, "  and %d more\n", len(r.Findings)-i)
			break
		}
		fmt.Fprintf(w.Log, "  %s\n", f)
	}
}

// disturb ends the server under load and starts it again.
func (w *world) disturb(ctx context.Context, p plan, r *Round) error {
	span := w.MinLoad + time.Duration(p.random.Int64N(int64(w.MaxLoad-w.MinLoad)+1))
	span = max(span, p.load)
	if !p.point {
		if !sleep(ctx, nil, span) {
			return ctx.Err()
		}
	}
	fault := ledger.Fault{Kind: p.name, Orderly: p.orderly}
	switch {
	case p.point:
		timer := time.NewTimer(pointLimit)
		defer timer.Stop()
		select {
		case <-w.server.Done():
			r.Reached = true
			if !w.server.Killed() {
				return fmt.Errorf("it ended by itself, but not at the point: %v: %s", w.server.Err(), w.logTail())
			}
		case <-timer.C: // not reached; killing it now is a round all the same
			w.server.Kill()
		}
	case p.orderly:
		limited, cancel := context.WithTimeout(ctx, stopLimit)
		defer cancel()
		asked := time.Now()
		if err := w.server.Stop(limited); err != nil {
			r.Findings = append(r.Findings, ledger.Finding{Invariant: "exit", Subject: p.name, Detail: err.Error()})
		}
		r.Ended = time.Since(asked)
	case p.cut:
		if err := w.server.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		if !sleep(ctx, nil, time.Duration(p.random.Int64N(int64(cutLimit)))) {
			return ctx.Err()
		}
		select {
		case <-w.server.Done():
		default:
			r.Reached = true // it was still at it
		}
		w.server.Kill()
	default:
		w.server.Kill()
	}
	// A connection that the dead process made may still wait to be accepted; it
	// must not be taken for one of the next process.
	if err := w.receiver.Barrier(ctx); err != nil {
		return err
	}
	fault.At = time.Now()
	w.faults = append(w.faults, fault)
	if err := w.start(ctx, p.env); err != nil {
		return err
	}
	r.Ready = time.Since(w.server.Started())
	if !sleep(ctx, nil, afterRestart) {
		return ctx.Err()
	}
	return nil
}

// settle waits until everything acknowledged has arrived and is recorded, or
// the time for that is over, and checks the ledgers.
func (w *world) settle(ctx context.Context, book *ledger.Producer, began time.Time, r *Round) error {
	publishes := book.Publishes()
	limit := time.Now().Add(w.Settle)
	for !arrived(publishes, w.receiver.Requests()) && time.Now().Before(limit) && sleep(ctx, nil, settlePoll) {
	}
	api := &ledger.API{Base: "http://" + w.addr, Key: w.key, Client: w.client}
	record := &ledger.Record{Publishes: publishes, Faults: w.faults, Window: w.Window, Grace: grace}
	for {
		want := interesting(w.receiver.Requests())
		var err error
		record.DumpedAt = time.Now()
		// An event published as the round began may carry the millisecond before.
		if record.Deliveries, err = api.Dump(ctx, tenants, began.Add(-time.Millisecond), want); err != nil {
			return err
		}
		// Anew: what arrived while the list was fetched may be in it already.
		record.Requests = w.present(w.receiver.Requests(), r)
		if recorded(record) || time.Now().After(limit) || !sleep(ctx, nil, settlePoll) {
			break
		}
	}
	if w.witness != nil {
		if err := w.witness(ctx, record.Requests, r); err != nil {
			return err
		}
		record.Faults = w.faults
	}
	findings, summary := ledger.Check(record)
	r.Findings = append(r.Findings, findings...)
	r.Summary, r.First = summary, w.firstDelivery()
	return ctx.Err()
}

// present takes out requests for events of earlier rounds: those rounds had
// settled, so each of these is a finding.
func (w *world) present(requests []ledger.Request, r *Round) []ledger.Request {
	prefix := fmt.Sprintf("r%d-", w.rounds)
	r.Findings = slices.DeleteFunc(r.Findings, func(f ledger.Finding) bool { return f.Subject == lateSubject })
	return slices.DeleteFunc(requests, func(q ledger.Request) bool {
		if strings.HasPrefix(q.Key, prefix) || q.Key == "" {
			return false
		}
		r.Findings = append(r.Findings, ledger.Finding{
			Invariant: "I5", Subject: lateSubject, Detail: fmt.Sprintf("request %d for %s at %s came after its round had settled", q.Seq, q.Key, q.Endpoint),
		})
		return true
	})
}

const lateSubject = "an earlier round"

// arrived reports whether every acknowledged event has had a success at all
// its endpoints.
func arrived(publishes []ledger.Publish, requests []ledger.Request) bool {
	seen := make(map[[2]string]bool, len(requests))
	for i := range requests {
		if q := &requests[i]; q.OK() {
			seen[[2]string{q.Event, q.Endpoint}] = true
		}
	}
	for i := range publishes {
		p := &publishes[i]
		if p.State != ledger.Acknowledged {
			continue
		}
		for _, endpoint := range p.To {
			if !seen[[2]string{p.ID, endpoint}] {
				return false
			}
		}
	}
	return true
}

// recorded reports whether the store has caught up with what the receiver
// saw: nothing is pending.
func recorded(r *ledger.Record) bool {
	for i := range r.Deliveries {
		if r.Deliveries[i].State == "pending" {
			return false
		}
	}
	return true
}

// interesting picks the deliveries whose attempts are worth a look: those with
// several requests.
func interesting(requests []ledger.Request) func(*ledger.Delivery) bool {
	count := make(map[[2]string]int, len(requests))
	for i := range requests {
		count[[2]string{requests[i].Event, requests[i].Endpoint}]++
	}
	left := detailLimit
	return func(d *ledger.Delivery) bool {
		if count[[2]string{d.Event, d.Endpoint}] < 2 || left == 0 {
			return false
		}
		left--
		return true
	}
}
