package crash

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/ledger"
	"grapnel/internal/pgproxy"
)

// leasesAway is for how many leases a node is kept from the others: long enough that
// they have taken over all that it had, before it is back.
const leasesAway = 3

// writes are the statements whose connections are cut: those of events, and of
// outcomes.
var writes = []string{"grapnel.append", "grapnel.record"}

// disturb does what the fault says, under load.
func (w *nodes) disturb(ctx context.Context, fault NodeFault, r *Round) (err error) {
	if !sleep(ctx, nil, w.span()) {
		return ctx.Err()
	}
	victim := w.all[w.random.IntN(len(w.all))]
	r.Name += " of " + victim.name()
	switch fault {
	case NodeKill:
		if err = victim.kill(ctx); err == nil && sleep(ctx, nil, time.Duration(w.random.Int64N(int64(2*w.opts.Lease)))) {
			err = victim.start(ctx)
		}
	case NodeStop:
		err = victim.freeze(ctx, leasesAway*w.opts.Lease+w.some())
	case NodePartition:
		err = w.partition(ctx, victim)
	case NodeCut:
		err = w.cut(ctx, victim)
	case ServerFast, ServerImmediate:
		err = w.restartServer(ctx, string(fault))
	case Rolling:
		err = w.roll(ctx)
	case Upgrade:
		w.Command, w.opts.Other = w.opts.Other, w.Command
		err = w.roll(ctx)
	case TakeOver:
		err = w.takeOver(ctx, victim)
	case Failover:
		err = w.failover(ctx)
	default:
		err = fmt.Errorf("crash: there is no fault %q", fault)
	}
	if err != nil {
		return err
	}
	sleep(ctx, nil, w.span())
	return ctx.Err()
}

// span is how long the load goes on before and after.
func (w *nodes) span() time.Duration {
	return w.MinLoad + time.Duration(w.random.Int64N(int64(w.MaxLoad-w.MinLoad)+1))
}

// some is a part of a lease.
func (w *nodes) some() time.Duration { return time.Duration(w.random.Int64N(int64(w.opts.Lease))) }

// partition keeps a node and the database apart, one way or both.
func (w *nodes) partition(ctx context.Context, n *node) error {
	way := []pgproxy.Direction{pgproxy.Both, pgproxy.ToServer, pgproxy.ToClient}[w.random.IntN(3)]
	from := time.Now()
	n.proxy.Hold(way)
	slept := sleep(ctx, nil, leasesAway*w.opts.Lease+w.some())
	if w.random.IntN(2) == 0 {
		n.proxy.Drop() // else what was on its way arrives now
	}
	n.proxy.Release()
	w.fault(ledger.Fault{From: from, At: time.Now(), Kind: "partition", Node: n.name()})
	if !slept {
		return ctx.Err()
	}
	return nil
}

// cut cuts connections of a node a few times, at moments of statements that write. Of a few
// endpoints, all may be in partitions that other nodes hold: then it records nothing, and
// what is cut are its appends.
func (w *nodes) cut(ctx context.Context, n *node) error {
	const cuts = 6
	records := true
	for i := range cuts {
		sql, patience := writes[i%len(writes)], w.Settle/6
		if !records || sql == writes[0] {
			sql, patience = writes[0], w.Settle
		}
		from := time.Now()
		done := n.proxy.Cut(sql, pgproxy.Moment(w.random.IntN(4)))
		select {
		case <-done:
		case <-time.After(patience):
			if sql == writes[0] {
				return fmt.Errorf("crash: %s did not call %s under load", n.name(), sql)
			}
			records = n.proxy.CallOff() == 0
			continue
		case <-ctx.Done():
			return ctx.Err()
		}
		if !sleep(ctx, nil, w.some()/4) {
			return ctx.Err()
		}
		n.proxy.Deliver()
		w.fault(ledger.Fault{From: from, At: time.Now(), Kind: "cut", Node: n.name()})
	}
	return nil
}

// restartServer stops the database and starts it again.
func (w *nodes) restartServer(ctx context.Context, mode string) error {
	from := time.Now()
	if err := w.opts.Server.Stop(mode); err != nil {
		return err
	}
	slept := sleep(ctx, nil, w.some())
	if err := w.opts.Server.Resume(); err != nil {
		return err
	}
	back := time.Now()
	w.fault(ledger.Fault{From: from, At: back, Kind: mode})
	if !slept {
		return ctx.Err()
	}
	return w.healed(ctx, back)
}

// healed waits until every node is ready and a publish was acknowledged that began
// after a moment, and notes how long after it that was.
func (w *nodes) healed(ctx context.Context, since time.Time) error {
	for limit := time.Now().Add(w.Settle); ; {
		if w.published(since) {
			w.report.Healed = append(w.report.Healed, time.Since(since))
			break
		}
		if time.Now().After(limit) || !sleep(ctx, nil, settlePoll) {
			return errors.Join(fmt.Errorf("crash: nothing was published for %s after the database was back: %s", time.Since(since), w.logTail()), ctx.Err())
		}
	}
	for _, n := range w.all {
		for limit := time.Now().Add(w.Settle); !n.alive(ctx, w.client); {
			if time.Now().After(limit) || !sleep(ctx, nil, settlePoll) {
				return errors.Join(fmt.Errorf("crash: %s was not ready %s after the database was back: %s", n.name(), time.Since(since), w.logTail()), ctx.Err())
			}
		}
	}
	return nil
}

// roll ends and starts every node.
func (w *nodes) roll(ctx context.Context) error {
	for _, n := range w.all {
		took, err := n.stop(ctx)
		if err != nil {
			return err
		}
		w.report.Ended = append(w.report.Ended, took)
		if err := n.start(ctx); err != nil {
			return err
		}
		if !sleep(ctx, nil, w.some()) {
			return ctx.Err()
		}
	}
	return nil
}

// takeOver kills a node and waits until others have its partitions, and its lanes go
// on; then it is started again, and the next round begins when it has its part.
func (w *nodes) takeOver(ctx context.Context, n *node) error {
	if err := w.balanced(ctx); err != nil {
		return err
	}
	had, err := w.audit.lanes(ctx, n.name())
	if err != nil {
		return err
	}
	at := time.Now()
	if err := n.kill(ctx); err != nil {
		return err
	}
	var after []time.Duration
	for limit := at.Add(w.Settle); ; {
		if after, err = w.audit.takenOver(ctx, n.name(), at); err != nil {
			return err
		}
		resumed := w.resumed(had, at)
		if after != nil && len(resumed) == len(had) {
			w.report.TakeOver, w.report.Resumed = append(w.report.TakeOver, after...), append(w.report.Resumed, resumed...)
			break
		}
		if time.Now().After(limit) || !sleep(ctx, nil, settlePoll) {
			return errors.Join(fmt.Errorf("crash: what %s had was not taken over in %s: %d of %d lanes go on, %d partitions have moved", n.name(), time.Since(at), len(resumed), len(had), len(after)), ctx.Err())
		}
	}
	if err := n.start(ctx); err != nil {
		return err
	}
	return w.balanced(ctx)
}

// resumed says for each of some endpoints when it got the first event that was
// published after a node's death, as far as that has happened.
func (w *nodes) resumed(endpoints []string, at time.Time) (after []time.Duration) {
	begun := map[string]time.Time{}
	for _, p := range w.book.Publishes() {
		begun[p.Key] = p.At
	}
	first := map[string]time.Time{}
	for _, q := range w.receiver.Requests() {
		if t := begun[q.Key]; t.After(at) && first[q.Endpoint].IsZero() {
			first[q.Endpoint] = q.At
		}
	}
	for _, e := range endpoints {
		if t := first[e]; !t.IsZero() {
			after = append(after, t.Sub(at))
		}
	}
	return after
}

// failover stops the database as by a crash and has its standby promoted.
func (w *nodes) failover(ctx context.Context) error {
	from := time.Now()
	if err := errors.Join(w.opts.Server.Stop("immediate"), w.opts.Promote()); err != nil {
		return err
	}
	err := w.healed(ctx, from)
	w.fault(ledger.Fault{From: from, At: time.Now(), Kind: "failover"})
	return errors.Join(err, w.opts.Rebuild())
}

// published reports whether a publish was acknowledged that began after a moment.
func (w *nodes) published(since time.Time) bool { return acknowledgedAfter(w.book.Publishes(), since) }
