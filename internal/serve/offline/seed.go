package offline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/serve"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/sqlite"
)

// SeedPlan says what Seed puts into a folder.
type SeedPlan struct {
	Dir       string // made if it is not there
	Tenants   int    // with the ids seed-0, seed-1, …
	Endpoints int    // of each tenant, with the same ids
	// URL and Type give an endpoint's address and the one event type that it gets.
	// Both are counted from 0.
	URL  func(tenant, endpoint int) string
	Type func(tenant, endpoint int) string
	// Events are spread evenly over the endpoints, in turns, each to that one
	// endpoint. Size is how many bytes of data each has, about.
	Events int64
	Size   int
	// Behind leaves the progress that a server leaves whose lanes are all behind:
	// a floor after the last event, and a mark of each lane. Without it nothing
	// says how far anybody is.
	Behind   bool
	Progress func(done, total int64) // is told how many events are stored; nil: nobody is told
}

const (
	seedDialect   = "standard"
	seedRecords   = 2000 // of the configuration in one change
	seedBatch     = 4096 // events in one transaction
	seedTextBytes = 1 << 20
)

func (p *SeedPlan) check() error {
	switch {
	case p.Dir == "":
		return errors.New("seed: no folder given")
	case p.Tenants < 1 || p.Endpoints < 1:
		return fmt.Errorf("seed: %d tenants with %d endpoints each; there must be one of both at least", p.Tenants, p.Endpoints)
	case p.URL == nil || p.Type == nil:
		return errors.New("seed: URL and Type are missing")
	case p.Events < 0 || p.Size < 0:
		return fmt.Errorf("seed: neither the number of events (%d) nor their size (%d) can be negative", p.Events, p.Size)
	}
	return nil
}

// seeder is a run of Seed.
type seeder struct {
	SeedPlan
	store    *sqlite.Store
	lease    store.Lease
	ring     *keyring.Ring
	dialects *dialect.Registry
	dialect  *dialect.Dialect
	revision int64
	now      time.Time

	tenants []*hook.Tenant
	lanes   []seedLane // of all endpoints, those of a tenant together
	text    []byte
	last    hook.EventID
}

// seedLane is an endpoint as its events need it.
type seedLane struct {
	tenant   hook.TenantNum
	endpoint hook.EndpointNum
	kind     string
	first    hook.EventID // of its events
}

// Seed fills a folder that nobody has open with tenants, endpoints and events
// that wait to be delivered, faster than by the API. Tenants and endpoints have
// secrets of their own, as those that the API makes do. What is in the folder
// stays; of an earlier Seed's tenants and endpoints none is made twice, but
// endpoints get the address and type of this plan. store.ErrLocked: a server has
// the folder.
func Seed(ctx context.Context, plan SeedPlan) (err error) {
	if err := plan.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(plan.Dir, 0o700); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	st, err := sqlite.Open(ctx, sqlite.Options{Dir: plan.Dir})
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s := &seeder{SeedPlan: plan, store: st, now: time.Now(), text: seedText()}
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

func (s *seeder) run(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	there, err := directory.Load(ctx, s.store)
	if err != nil {
		return err
	}
	s.revision = there.Revision()
	s.ring, err = keyring.Open(keyring.Source{File: filepath.Join(s.Dir, KeyName), MustExist: s.revision > 0})
	if err != nil {
		return err
	}
	if err := s.putTenants(ctx, there); err != nil {
		return err
	}
	if err := s.complete(ctx, there); err != nil {
		return err
	}
	if err := s.putEndpoints(ctx, there); err != nil {
		return err
	}
	waiting, err := s.store.Lanes(ctx, s.lease)
	if err != nil {
		return err
	}
	if err := s.putEvents(ctx); err != nil {
		return err
	}
	if s.Behind {
		if err := s.fallBehind(ctx, waiting); err != nil {
			return err
		}
	}
	return s.store.Maintain(ctx) // seals what a server would have sealed by now
}

// prepare takes what the seeder works with from the store.
func (s *seeder) prepare(ctx context.Context) (err error) {
	if s.dialects, err = serve.Dialects(); err != nil {
		return err
	}
	var ok bool
	if s.dialect, ok = s.dialects.Get(seedDialect); !ok {
		return fmt.Errorf("there is no dialect %q", seedDialect)
	}
	if s.lease, err = s.store.Acquire(ctx, "seed"); err != nil {
		return err
	}
	s.last, err = s.store.LastEvent(ctx)
	return err
}

func seedID(n int) string { return fmt.Sprintf("seed-%d", n) }

func (s *seeder) putTenants(ctx context.Context, there *directory.Directory) error {
	var c store.Change
	for i := range s.Tenants {
		t, ok := there.Tenant(seedID(i))
		if !ok {
			t = &hook.Tenant{ID: seedID(i), CreatedAt: s.now, UpdatedAt: s.now}
			c.Tenants = append(c.Tenants, t)
		}
		s.tenants = append(s.tenants, t)
		if err := s.configure(ctx, &c, i == s.Tenants-1); err != nil {
			return err
		}
	}
	return nil
}

// complete gives the tenants the secrets that those which the API makes have:
// else the first start would.
func (s *seeder) complete(ctx context.Context, there *directory.Directory) error {
	m, err := manage.New(manage.Config{
		Store: s.store, Deliveries: s.store, Directory: there, Dialects: s.dialects, Ring: s.ring, Logger: slog.New(slog.DiscardHandler),
		CheckURL: func(string) error { return nil },
	})
	if err != nil {
		return err
	}
	if err := there.Refresh(ctx); err != nil {
		return err
	}
	_, err = m.Complete(ctx)
	s.revision = there.Revision()
	return err
}

// configure stores a change once it is large enough, or the last one.
func (s *seeder) configure(ctx context.Context, c *store.Change, last bool) error {
	n := len(c.Tenants) + len(c.Endpoints)
	if n == 0 || n < seedRecords && !last {
		return nil
	}
	revision, err := s.store.Configure(ctx, c)
	if err != nil {
		return err
	}
	s.revision = revision
	*c = store.Change{}
	return nil
}

func (s *seeder) putEndpoints(ctx context.Context, there *directory.Directory) error {
	var c store.Change
	endpoints := make([]*hook.Endpoint, 0, s.Tenants*s.Endpoints)
	for i, t := range s.tenants {
		for j := range s.Endpoints {
			e, changed, err := s.endpoint(there, t, i, j)
			if err != nil {
				return err
			}
			if changed {
				c.Endpoints = append(c.Endpoints, e)
			}
			endpoints = append(endpoints, e)
			if err := s.configure(ctx, &c, len(endpoints) == cap(endpoints)); err != nil {
				return err
			}
		}
	}
	for n, e := range endpoints {
		s.lanes = append(s.lanes, seedLane{tenant: e.TenantNum, endpoint: e.Num, kind: s.Type(n/s.Endpoints, n%s.Endpoints)})
	}
	return nil
}

// endpoint makes an endpoint, or what is to be changed of the one there is.
func (s *seeder) endpoint(there *directory.Directory, t *hook.Tenant, i, j int) (e *hook.Endpoint, changed bool, err error) {
	url, kind := s.URL(i, j), s.Type(i, j)
	if err := hook.ValidType(kind); err != nil {
		return nil, false, err
	}
	if old, ok := there.EndpointByID(t.ID, seedID(j)); ok {
		if old.URL == url && len(old.EventTypes) == 1 && old.EventTypes[0] == kind {
			return old, false, nil
		}
		e := *old
		e.URL, e.EventTypes, e.UpdatedAt = url, []string{kind}, s.now
		return &e, true, nil
	}
	e = &hook.Endpoint{
		ID: seedID(j), Tenant: t.ID, TenantNum: t.Num, Dialect: seedDialect, URL: url, EventTypes: []string{kind},
		State: hook.EndpointActive, StateAt: s.now, CreatedAt: s.now, UpdatedAt: s.now,
	}
	secret, err := s.dialect.NewSecret()
	if err != nil {
		return nil, false, err
	}
	sealed, err := s.ring.Seal(secret, e.Tenant, e.ID)
	if err != nil {
		return nil, false, err
	}
	e.Secrets = []hook.EndpointSecret{{Sealed: sealed, Public: s.dialect.PublicKey(secret), CreatedAt: s.now}}
	return e, true, nil
}

// putEvents stores the events. While a batch is stored the next one is made.
func (s *seeder) putEvents(ctx context.Context) error {
	var stored chan error
	wait := func() (err error) {
		if stored != nil {
			err, stored = <-stored, nil
		}
		return err
	}
	for done := int64(0); done < s.Events; {
		b := s.batch(done)
		if err := wait(); err != nil {
			return err
		}
		if s.Progress != nil {
			s.Progress(done, s.Events)
		}
		stored = make(chan error, 1)
		go func(to chan<- error) { to <- s.store.Append(ctx, b) }(stored)
		done += int64(len(b.Events))
	}
	err := wait()
	if err == nil && s.Progress != nil {
		s.Progress(s.Events, s.Events)
	}
	return err
}

// batch makes the events from the one with number done on.
func (s *seeder) batch(done int64) *store.Batch {
	n := min(int64(seedBatch), s.Events-done)
	b := &store.Batch{Revision: s.revision, Events: make([]*hook.Event, n)}
	now := time.Now()
	events, targets := make([]hook.Event, n), make([]hook.Target, n)
	for i := range b.Events {
		number := done + int64(i)
		l := &s.lanes[number%int64(len(s.lanes))]
		s.last = hook.NextEventID(s.last.Seq(), now, rand.Uint64())
		if l.first.IsZero() {
			l.first = s.last
		}
		targets[i] = hook.Target{Endpoint: l.endpoint}
		events[i] = hook.Event{
			ID: s.last, Tenant: l.tenant, Type: l.kind, Time: now, Data: s.data(number),
			Targets: targets[i : i+1 : i+1], Revision: s.revision,
		}
		b.Events[i] = &events[i]
	}
	return b
}

// data makes an event's data: a JSON object of about Size bytes.
func (s *seeder) data(number int64) []byte {
	out := append(make([]byte, 0, s.Size+32), fmt.Sprintf(`{"n":%d`, number)...)
	const frame = len(`,"text":""}`)
	if n := s.Size - len(out) - frame; n > 0 {
		n = min(n, len(s.text)/2)
		at := rand.IntN(len(s.text) - n)
		out = append(append(append(out, `,"text":"`...), s.text[at:at+n]...), '"')
	}
	return append(out, '}')
}

// seedText is what data is cut from: words in no order, so that it is about as
// easy to compress as what people publish.
func seedText() []byte {
	words := []string{"account", "amount", "billing", "cancelled", "created", "currency", "customer", "delivery", "discount", "EUR", "invoice", "item",
		"net", "number", "order", "paid", "payment", "quantity", "reference", "refund", "shipping", "status", "subscription", "total", "updated", "USD"}
	out := make([]byte, 0, seedTextBytes)
	for len(out) < seedTextBytes-32 {
		out = append(append(out, words[rand.IntN(len(words))]...), ' ')
		if rand.IntN(3) == 0 {
			out = fmt.Appendf(out, "%d ", rand.IntN(1_000_000))
		}
	}
	return out
}

// fallBehind leaves marks of all lanes that have something waiting, and a floor
// after it. Lanes that had something before are behind from there on.
func (s *seeder) fallBehind(ctx context.Context, waiting []store.Lane) error {
	if s.last.IsZero() {
		return nil
	}
	p := store.Progress{Floor: hook.EventIDFrom(s.last.Seq()+1, 0)}
	marked := map[hook.EndpointNum]bool{}
	for _, l := range waiting {
		if !l.Fresh.IsZero() {
			marked[l.Endpoint] = true
			p.Behind = append(p.Behind, store.LaneMark{Endpoint: l.Endpoint, From: l.Fresh})
		}
	}
	for _, l := range s.lanes {
		if !l.first.IsZero() && !marked[l.endpoint] {
			p.Behind = append(p.Behind, store.LaneMark{Endpoint: l.endpoint, From: l.first})
		}
	}
	return s.store.Checkpoint(ctx, s.lease, p)
}
