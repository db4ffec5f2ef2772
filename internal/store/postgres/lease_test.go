package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// member is a node on a database, with a store of its own.
type member struct {
	t     *testing.T
	name  string
	st    *postgres.Store
	lease store.Lease
	past  store.Lease // one that it had before, in TestLeaseHistory
}

func join(t *testing.T, url, name string) *member {
	t.Helper()
	st, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 2, Lease: time.Hour, Version: "1", Address: func() string { return name + ":1" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	m := &member{t: t, name: name, st: st}
	m.acquire()
	return m
}

func (m *member) acquire() {
	m.t.Helper()
	l, err := m.st.Acquire(m.t.Context(), m.name)
	if err != nil {
		m.t.Fatal(err)
	}
	m.lease = l
}

// renew renews, and releases what is asked for.
func (m *member) renew() {
	m.t.Helper()
	l, err := m.st.Renew(m.t.Context(), m.lease)
	if errors.Is(err, store.ErrLeaseLost) {
		m.acquire()
		return
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.lease = l
	if l.Yield != 0 {
		m.release(l.Yield)
	}
}

func (m *member) release(partitions uint64) {
	m.t.Helper()
	if err := m.st.Release(m.t.Context(), m.lease.Only(partitions)); err != nil {
		m.t.Fatal(err)
	}
	m.lease = m.lease.Only(^partitions)
}

func (m *member) leave() {
	m.t.Helper()
	m.lease.Leaves = true
	m.release(^uint64(0))
}

// expire ends the lease of a node, as if it had not been renewed for long.
func expire(t *testing.T, url, name string) {
	t.Helper()
	run(t, url, fmt.Sprintf(`UPDATE grapnel.nodes SET expires = now() - interval '1 second' WHERE node = '%s'`, name))
}

// settled renews until nothing moves any more, which two rounds have to be enough for.
func settled(t *testing.T, members ...*member) {
	t.Helper()
	var before, all uint64
	for round := range 4 {
		before, all = all, 0
		changed := false
		for _, m := range members {
			was := m.lease
			m.renew()
			if m.lease.Under(&was) != was.Partitions || m.lease.Partitions != was.Partitions {
				changed = true
			}
			if m.lease.Partitions&all != 0 {
				t.Fatalf("%s holds what another node holds", m.name)
			}
			all |= m.lease.Partitions
		}
		if round >= 2 && changed {
			t.Fatalf("partitions still move in round %d", round)
		}
	}
	if all != ^uint64(0) || before != all {
		t.Fatalf("%d partitions are held", bits.OnesCount64(all))
	}
	least, most := store.Partitions, 0
	for _, m := range members {
		n := bits.OnesCount64(m.lease.Partitions)
		least, most = min(least, n), max(most, n)
	}
	if most-least > 1 {
		t.Fatalf("shares are from %d to %d", least, most)
	}
}

// Nodes come, go and die: each gets its share, no more moves than has to, and what
// has settled stays.
func TestLeasesAreShared(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a := join(t, url, "a")
	if a.lease.Partitions != ^uint64(0) || a.lease.Yield != 0 || time.Until(a.lease.Expires) > time.Hour {
		t.Fatalf("the only node got %+v", a.lease)
	}
	b := join(t, url, "b")
	if b.lease.Partitions != 0 {
		t.Fatalf("what is held was given to another: %x", b.lease.Partitions)
	}
	settled(t, a, b)
	was := a.lease
	c := join(t, url, "c")
	settled(t, a, b, c)
	if a.lease.Under(&was) != a.lease.Partitions {
		t.Fatal("a node got others when one joined")
	}

	aWas, cWas := a.lease, c.lease
	b.leave()
	settled(t, a, c)
	if a.lease.Under(&aWas) != aWas.Partitions || c.lease.Under(&cWas) != cWas.Partitions {
		t.Fatal("nodes lost something when another one left")
	}
	nodes, err := a.st.Nodes(t.Context())
	if err != nil || len(nodes) != 2 || nodes[0].Name != "a" || nodes[1].Address != "c:1" || nodes[1].Version != "1" || nodes[1].Schema == 0 || nodes[1].Partitions != c.lease.Partitions || nodes[1].Over {
		t.Fatalf("the nodes are %+v, %v", nodes, err)
	}

	expire(t, url, "c")
	a.renew()
	if a.lease.Partitions != ^uint64(0) {
		t.Fatalf("%d partitions were taken over at once", bits.OnesCount64(a.lease.Partitions))
	}
	settled(t, c, a) // it comes back
	a.leave()
	c.leave()
	if nodes, err := a.st.Nodes(t.Context()); err != nil || len(nodes) != 0 {
		t.Fatalf("the nodes are %+v, %v", nodes, err)
	}
}

// More nodes than there are partitions: some have none, and nobody waits for them.
func TestMoreNodesThanPartitions(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a := join(t, url, "a")
	run(t, url, `INSERT INTO grapnel.nodes SELECT 'n' || n, '', 0, '', now() - interval '1 hour', now(), now() + interval '1 hour', false FROM generate_series(1, 70) AS n`)
	a.renew()
	if a.lease.Partitions != 0 {
		t.Fatalf("node 71 of 71 holds %x", a.lease.Partitions)
	}
}

// A node that missed the answer to a renewal or a release gets what is its own under
// new tokens; its predecessor of the same name has nothing any more.
func TestMissedAnswers(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a := join(t, url, "a")
	was := a.lease
	a.lease = a.lease.Only(1<<5 - 1) // it does not know of the rest
	a.renew()
	if a.lease.Partitions != ^uint64(0) || a.lease.Under(&was) != 1<<5-1 {
		t.Fatalf("got %x, of it %x as before", a.lease.Partitions, a.lease.Under(&was))
	}
	again := join(t, url, "a")
	if again.lease.Partitions != ^uint64(0) || again.lease.Under(&a.lease) != 0 {
		t.Fatalf("the successor got %x, of it %x as before", again.lease.Partitions, again.lease.Under(&a.lease))
	}
	if _, err := a.st.Renew(t.Context(), a.lease); !errors.Is(err, store.ErrLeaseLost) {
		t.Fatalf("the predecessor got %v, want ErrLeaseLost", err)
	}
}

// delivered is the outcome of an event's first attempt.
func delivered(e *hook.Event) []*store.Outcome {
	return []*store.Outcome{{
		Key: hook.DeliveryKey{Event: e.ID, Endpoint: 1}, At: e.Time, State: hook.Delivered,
		Attempt: &hook.Attempt{N: 1, At: e.Time, State: hook.Delivered, Status: 200},
	}}
}

// case 27: what comes late, under a token of before, changes nothing, also when the
// partition has come back meanwhile.
func TestLateOutcome(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := join(t, url, "a"), join(t, url, "b")
	e := event(1 << 40)
	if err := a.st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{e}}); err != nil {
		t.Fatal(err)
	}
	late := a.lease
	refused := func(what string) {
		t.Helper()
		if err := a.st.Record(t.Context(), late, delivered(e)); !errors.Is(err, store.ErrLeaseLost) {
			t.Fatalf("%s: got %v, want ErrLeaseLost", what, err)
		}
		if err := a.st.Checkpoint(t.Context(), late, store.Progress{Floor: e.ID}); !errors.Is(err, store.ErrLeaseLost) {
			t.Fatalf("%s: got %v, want ErrLeaseLost", what, err)
		}
		if d, err := b.st.Delivery(t.Context(), 1, hook.DeliveryKey{Event: e.ID, Endpoint: 1}); err != nil || d.State != hook.Pending {
			t.Fatalf("%s: the delivery is %+v, %v", what, d, err)
		}
	}
	expire(t, url, "a")
	b.renew()
	refused("taken over")
	expire(t, url, "b")
	a.renew()
	if !a.lease.Holds(1) {
		t.Fatal("it did not come back")
	}
	refused("come back")
	if err := a.st.Record(t.Context(), a.lease, delivered(e)); err != nil {
		t.Fatal(err)
	}
}

// While a node records, what it records for is not taken over, and nobody waits for
// it: its turn comes later.
func TestWhatIsBeingRecordedStays(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := join(t, url, "a"), join(t, url, "b")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT grapnel.fence1('a', '{3}', $1)`, []int64{a.lease.Tokens[3]}); err != nil {
		t.Fatal(err)
	}
	expire(t, url, "a")
	b.renew()
	if b.lease.Partitions != 0 {
		t.Fatalf("got %x while it was recorded for", b.lease.Partitions)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.renew()
	if b.lease.Partitions != ^uint64(0) {
		t.Fatalf("got %x", b.lease.Partitions)
	}
}

// ask is a question about one partition, as a history of them has it.
type ask struct {
	kind  string // "renew", "release" or "write"
	token int64  // what the node has for it; 0: nothing
}

// reply is what came of it.
type reply struct {
	token int64 // of renew: what it has now; 0: nothing
	lost  bool  // of write
}

// partitionModel is what a partition is: its token, which grows with each change of
// hands. Whoever is granted a token is the only one to hold the partition until it
// grows, and no write under another one is let through.
var partitionModel = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(int64), input.(ask), output.(reply)
		switch in.kind {
		case "write":
			return out.lost == (in.token != now), now
		case "release":
			if in.token == now {
				return true, now + 1
			}
			return true, now
		}
		switch {
		case out.token == 0:
			return in.token == 0 || in.token != now, now
		case out.token == in.token:
			return in.token == now, now
		default:
			return out.token > now, out.token
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

// history is what nodes asked, by partition.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	of    [store.Partitions][]porcupine.Operation

	written [store.Partitions]*store.Outcome // what is recorded of each
}

func (h *history) add(client, p int, in ask, call int64, out reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of[p] = append(h.of[p], porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: h.clock.Add(1)})
}

// case 28: nodes claim, release and write at once, leases end at any time, and a node says
// what it had to say long before. The history is that of a register that one node holds
// at a time.
func TestLeaseHistory(t *testing.T) {
	t.Parallel()
	for p, r := range leaseHistory(t, pgtest.Database(t)) {
		if r != porcupine.Ok {
			t.Errorf("partition %d: %v", p, r)
		}
	}
}

// Histories of leases whose tokens are not held against anything are told from those:
// of outcomes and progress, and of who takes over.
func TestBrokenLeasesAreFound(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"AnyTokenWrites": `CREATE OR REPLACE FUNCTION grapnel.fence1(_node text, _partitions smallint[], _tokens bigint[]) RETURNS void LANGUAGE plpgsql AS $$
			BEGIN
				IF (SELECT count(*) FROM grapnel.partitions AS p WHERE p.partition = ANY (_partitions) AND p.node = _node) < cardinality(_partitions) THEN
					RAISE EXCEPTION 'not held' USING ERRCODE = 'GRP04';
				END IF;
			END $$`,
		"AnybodyWrites": `CREATE OR REPLACE FUNCTION grapnel.fence1(_node text, _partitions smallint[], _tokens bigint[]) RETURNS void LANGUAGE sql AS ''`,
		"TokensStay": `CREATE FUNCTION public.stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.token := greatest(OLD.token, 1); RETURN NEW; END $$;
			CREATE TRIGGER stay BEFORE UPDATE ON grapnel.partitions FOR EACH ROW EXECUTE FUNCTION public.stay()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			run(t, url, sql)
			for range 5 { // each finds it nearly always
				if slices.Contains(leaseHistory(t, url), porcupine.Illegal) {
					return
				}
			}
			t.Error("nothing was found")
		})
	}
}

// leaseHistory has nodes do things at random, and holds what came of it for each
// partition against partitionModel.
func leaseHistory(t *testing.T, url string) (found []porcupine.CheckResult) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const nodes, steps = 4, 60
	h := &history{}
	var all sync.WaitGroup
	for n := range nodes {
		m := join(t, url, fmt.Sprint("node", n))
		m.lease = store.Lease{Node: m.name} // what it was given before it is told of is known by nobody
		m.past = m.lease
		if n == 0 {
			h.written = everyPartition(t, m.st)
		}
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		all.Go(func() {
			for range steps {
				if err := m.step(h, n, r, url); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for p, ops := range h.of {
		r := porcupine.CheckOperationsTimeout(partitionModel, ops, time.Minute)
		if r == porcupine.Unknown {
			t.Errorf("partition %d: %d operations could not be checked in time", p, len(ops))
		}
		found = append(found, r)
	}
	return found
}

// everyPartition stores an event with a delivery in each partition, and returns what can be
// recorded of them again and again.
func everyPartition(t *testing.T, st *postgres.Store) (outcomes [store.Partitions]*store.Outcome) {
	t.Helper()
	e := event(1 << 40)
	e.Targets = nil
	for n, left := hook.EndpointNum(1), store.Partitions; left > 0; n++ {
		if p := store.PartitionOf(n); outcomes[p] == nil {
			e.Targets = append(e.Targets, hook.Target{Endpoint: n})
			outcomes[p] = &store.Outcome{Key: hook.DeliveryKey{Endpoint: n}, At: e.Time, State: hook.Held}
			left--
		}
	}
	if err := st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{e}}); err != nil {
		t.Fatal(err)
	}
	for _, o := range outcomes {
		o.Key.Event = e.ID
	}
	return outcomes
}

// step does something at random.
func (m *member) step(h *history, client int, r *rand.Rand, url string) error {
	ctx, had, call := context.Background(), m.lease, h.clock.Add(1)
	some := r.Uint64()
	switch what := r.IntN(11); what {
	case 0, 1, 2, 3:
		var l store.Lease
		var err error
		if what == 3 {
			had = store.Lease{Node: m.name}
			l, err = m.st.Acquire(ctx, m.name)
		} else {
			l, err = m.st.Renew(ctx, had)
		}
		if errors.Is(err, store.ErrLeaseLost) {
			l, err = store.Lease{Node: m.name}, nil
		}
		if err != nil {
			return err
		}
		m.lease = l
		for p := range store.Partitions {
			h.add(client, p, ask{"renew", tokenOf(&had, p)}, call, reply{token: tokenOf(&l, p)})
		}
	case 4:
		if err := m.st.Release(ctx, had.Only(some)); err != nil {
			return err
		}
		m.lease = had.Only(^some)
		for p := range store.Partitions {
			if had.Only(some).Partitions>>p&1 == 1 {
				h.add(client, p, ask{"release", tokenOf(&had, p)}, call, reply{})
			}
		}
	case 5, 6, 7:
		return m.write(h, client, int(some%store.Partitions), &had, some>>32&1 == 1)
	case 8, 9: // it was paused, and goes on with what it had
		if some>>33&1 == 1 {
			m.past = had
		}
		return m.write(h, client, int(some%store.Partitions), &m.past, some>>32&1 == 1)
	default:
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, `UPDATE grapnel.nodes SET expires = now() - interval '1 second' WHERE node = $1`, fmt.Sprint("node", some%4))
		return err
	}
	return nil
}

// write records, or keeps progress, under a lease of now or of before: a node forgets
// nothing, so that many a one is over.
func (m *member) write(h *history, client, p int, l *store.Lease, progress bool) (err error) {
	token := tokenOf(l, p)
	if token == 0 {
		return nil
	}
	ctx, call := context.Background(), h.clock.Add(1)
	if progress {
		err = m.st.Checkpoint(ctx, l.Only(1<<p), store.Progress{Floor: hook.EventIDFrom(1, 1)})
	} else {
		err = m.st.Record(ctx, *l, []*store.Outcome{h.written[p]})
	}
	if err != nil && !errors.Is(err, store.ErrLeaseLost) {
		return err
	}
	h.add(client, p, ask{"write", token}, call, reply{lost: err != nil})
	return nil
}

// tokenOf is what a lease has for a partition; 0: nothing.
func tokenOf(l *store.Lease, p int) int64 {
	if l.Partitions>>p&1 == 1 {
		return l.Tokens[p]
	}
	return 0
}
