package crash

import (
	"context"
	"fmt"
	"slices"
	"time"

	"grapnel/internal/ledger"
)

// An attempt that had begun may reach the receiver a little after its node has lost the
// lane: its connection was still being made.
const underWay = 300 * time.Millisecond

// tenures holds what the database noted of leases against what was done and what came.
// A lease lapsed if its partitions went to others without having been given back. Where
// none of the faults was the cause, that is one more: what its node had in flight may be
// repeated. It is a finding unless the machine did not let the node run. So is a request
// of a node which had lost the lane some time before it came.
func (w *nodes) tenures(ctx context.Context, requests []ledger.Request, r *Round) error {
	all, lanes, err := w.audit.history(ctx)
	if err != nil {
		return err
	}
	lapsed := map[string]time.Time{}
	for _, h := range all {
		if h.new && h.before != "" && h.node != "" && lapsed[h.before].IsZero() {
			lapsed[h.before] = h.at
		}
	}
	for name, at := range lapsed {
		w.report.Lapses++
		if w.caused(name, at) {
			continue // and what that excuses is known
		}
		w.fault(ledger.Fault{From: at, At: at, Kind: "lapse", Node: name})
		if !w.stalls.between(at.Add(-2*w.opts.Lease), at) {
			r.Findings = append(r.Findings, ledger.Finding{Invariant: "lease", Subject: name, Detail: fmt.Sprintf("it lapsed at %s, and nothing had been done to it", at.Format(time.TimeOnly+".000"))})
		}
	}
	slices.SortStableFunc(w.faults, func(a, b ledger.Fault) int { return a.At.Compare(b.At) })
	w.strays(all, lanes, requests, r)
	return nil
}

// caused reports whether a fault made a node's lease lapse.
func (w *nodes) caused(name string, at time.Time) bool {
	const patience = 3 // leases until everybody has what is his
	return slices.ContainsFunc(w.faults, func(f ledger.Fault) bool {
		began := f.From
		if began.IsZero() {
			began = f.At.Add(-w.opts.Lease) // it was noted when the process was gone
		}
		return !f.Orderly && (f.Node == "" || f.Node == name) && at.After(began) && at.Before(f.At.Add(patience*w.opts.Lease))
	})
}

// strays finds requests of nodes that did not hold the lane.
func (w *nodes) strays(all []holding, lanes map[string]int16, requests []ledger.Request, r *Round) {
	byPartition := map[int16][]holding{}
	for _, h := range all {
		byPartition[h.partition] = append(byPartition[h.partition], h)
	}
	for _, q := range requests {
		p, known := lanes[q.Endpoint]
		if q.Node == "" || !known {
			continue
		}
		lost := lostAt(byPartition[p], q.Node, q.At)
		if lost.IsZero() {
			continue
		}
		w.report.Strays++
		if late := q.At.Sub(lost); late > underWay && !w.stalls.between(lost, q.At) {
			r.Findings = append(r.Findings, ledger.Finding{
				Invariant: "lease", Subject: q.Event + " at " + q.Endpoint, Detail: fmt.Sprintf("request %d of %s came %s after that had lost the lane", q.Seq, q.Node, round(late)),
			})
		}
	}
}

// lostAt is when a node lost a partition that it does not hold at a moment; zero if it
// holds it.
func lostAt(of []holding, node string, at time.Time) (lost time.Time) {
	for _, h := range of {
		switch {
		case h.at.After(at):
			return lost
		case h.node == node:
			lost = time.Time{}
		case h.before == node:
			lost = h.at
		}
	}
	return lost
}
