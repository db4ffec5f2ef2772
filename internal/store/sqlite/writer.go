package sqlite

import "time"

const (
	// gather is the most calls that go into one transaction.
	gather = 1024
	// lateWait is how long outcomes for older segments wait for company.
	lateWait = 20 * time.Millisecond
	// probeEvery is how often a failed writer is tried without a call.
	probeEvery = time.Second
)

// writeActive owns the active segment: it commits all waiting calls together,
// and a lone one at once.
func (s *Store) writeActive() {
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	for {
		select {
		case o, ok := <-s.writes:
			if !ok {
				return
			}
			s.commitActive(drain(o, s.writes))
		case <-probe.C:
			s.probe()
		}
	}
}

// drain takes what waits, without waiting.
func drain(o *op, from <-chan *op) []*op {
	ops := []*op{o}
	for len(ops) < gather {
		select {
		case o, ok := <-from:
			if !ok {
				return ops
			}
			ops = append(ops, o)
		default:
			return ops
		}
	}
	return ops
}

// commitActive commits ops. If an append needs a new segment, what belongs to
// the old one goes first.
func (s *Store) commitActive(ops []*op) {
	var now []*op
	flush := func() {
		if len(now) > 0 {
			s.active().transact(now)
			now = nil
		}
	}
	for _, o := range ops {
		active := s.active()
		if o.end {
			flush()
			o.finish(s.end(o.g))
			continue
		}
		if o.g != nil && o.g != active { // it was the active one when the call was made
			s.late <- o
			continue
		}
		if o.first != 0 && s.full(active, o.first) {
			flush()
			if err := s.rotate(o.first); err != nil {
				o.finish(err)
				continue
			}
		}
		now = append(now, o)
	}
	flush()
}

// end ends the active segment, unless that was done already.
func (s *Store) end(g *segment) error {
	if last := g.lastID(); g == s.active() && last != 0 {
		return s.rotate(last + 1)
	}
	return nil
}

// probe brings a failed writer back without a call.
func (s *Store) probe() {
	g := s.active()
	g.writing.Lock()
	defer g.writing.Unlock()
	if g.suspect {
		s.health.set(g, g.writer())
	}
}

// writeLate commits outcomes for older segments, grouped by segment.
func (s *Store) writeLate() {
	for o := range s.late {
		ops := []*op{o}
		wait := time.NewTimer(lateWait)
	collect:
		for len(ops) < gather {
			select {
			case o, ok := <-s.late:
				if !ok {
					break collect
				}
				ops = append(ops, o)
			case <-wait.C:
				break collect
			}
		}
		wait.Stop()
		parts := map[*segment][]*op{}
		for _, o := range ops {
			parts[o.g] = append(parts[o.g], o)
		}
		for g, part := range parts {
			g.transact(part)
		}
	}
}
