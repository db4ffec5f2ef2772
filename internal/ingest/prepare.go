package ingest

import (
	"context"
	"errors"
	"time"

	"grapnel/internal/hook"
)

// prepared is what is known of a submission's events before the committer has
// them: nothing in it takes the committer's time, and it holds as long as the
// configuration of their tenants is what it was.
type prepared struct {
	revision int64         // of the configuration that the events were matched with
	seen     []seen        // of their tenants, before they were matched
	one      [1]seen       // room for it
	took     time.Duration // to match them
	stale    bool          // matching them again takes longer than others are to wait for: who publishes does it
	events   []*hook.Event // one for each item; nil: not to be taken
	single   [1]*hook.Event
	failed   []*hook.Error // why an item is not to be taken, or cannot be matched; nil: none
	over     []*hook.Error // why an item is over a quota; nil: none
	unfit    []*hook.Error // why an item does not satisfy the schema of its type; nil: none
	types    []seenType    // of the items, when they were held against their schemas
	oneType  [1]seenType   // room for it
}

// seen is what matching saw of a tenant.
type seen struct {
	id      string
	num     hook.TenantNum // 0: there was none
	version int64          // of its endpoints
}

func (m *matcher) see(tenant string) seen {
	v := seen{id: tenant}
	v.version, _, _ = m.directory.EndpointsVersion(tenant)
	if t, ok := m.directory.Tenant(tenant); ok {
		v.num = t.Num
	}
	return v
}

// refusal says why an item is not taken; nil if it is.
func (s *submission) refusal(i int) *hook.Error {
	if s.over != nil && s.over[i] != nil {
		return s.over[i]
	}
	if s.failed != nil {
		return s.failed[i]
	}
	return nil
}

func (s *submission) fail(i int, err error) {
	if s.failed == nil {
		s.failed = make([]*hook.Error, len(s.Items))
	}
	s.failed[i] = asError(err)
}

// prepare holds a submission's events against the schemas of their types, and matches
// them, with the present configuration. The error is of CodeUnavailable where that has to
// wait for longer than ctx lasts.
func (m *matcher) prepare(ctx context.Context, s *submission) error {
	s.stale = false
	m.schemas.check(s)
	if s.seen = s.one[:0]; len(s.Items) > 1 {
		s.seen = nil
	}
	for i := range s.Items {
		if tenant := s.Items[i].Tenant; i == 0 || s.Items[i-1].Tenant != tenant {
			s.seen = append(s.seen, m.see(tenant))
		}
	}
	begin := time.Now()
	by := &stint{costs: m.costs, ctx: ctx, shared: len(s.seen) > 1}
	defer by.over()
	err := m.prepareAt(s, m.directory.Revision(), by)
	s.took = time.Since(begin)
	return err
}

// prepareFor has a submission's events be as with a later configuration, at a cost of
// most at most; false: it would be more. The caller makes sure that the revision is
// still the same afterwards.
func (m *matcher) prepareFor(s *submission, revision int64, most time.Duration) bool {
	if m.schemas.changed(s) {
		return false // the caller holds the events against them again
	}
	for _, v := range s.seen {
		if m.see(v.id) != v {
			if s.took > most {
				return false
			}
			return m.prepareAt(s, revision, nil) == nil
		}
	}
	for _, e := range s.events {
		if e != nil {
			e.Revision = revision
		}
	}
	s.revision = revision
	return true
}

// prepareAt matches a submission's events. The caller makes sure that the
// revision is still the same afterwards. An error is of a turn that does not come.
func (m *matcher) prepareAt(s *submission, revision int64, by *stint) error {
	s.revision, s.failed = revision, nil
	if s.events == nil {
		s.makeEvents()
	}
	for i, e := range s.events {
		if s.Errs != nil && s.Errs[i] != nil {
			s.fail(i, s.Errs[i])
		}
		if e == nil {
			continue
		}
		e.Revision, e.Tenant, e.Targets = revision, 0, nil
		if s.unfit != nil && s.unfit[i] != nil {
			s.fail(i, s.unfit[i])
			continue
		}
		tenant, ok := m.directory.Tenant(s.Items[i].Tenant)
		if ok {
			e.Tenant = tenant.Num
		}
		if s.Only != nil && ok {
			e.Targets = []hook.Target{{Endpoint: s.Only.Num}}
			continue
		}
		if err := by.begin(s.Items[i].Tenant); err != nil {
			return err
		}
		var err error
		if e.Targets, err = m.match(s.Items[i].Tenant, e, s.Items[i].Suppress, by); err != nil {
			if by != nil && errors.Is(err, errNoTurn) {
				return err
			}
			s.fail(i, err)
		}
		by.end()
	}
	return nil
}

// makeEvents makes the events of the items that can be taken.
func (s *submission) makeEvents() {
	s.events = s.single[:]
	if len(s.Items) != 1 {
		s.events = make([]*hook.Event, len(s.Items))
	}
	for i := range s.Items {
		if s.Errs != nil && s.Errs[i] != nil || s.over != nil && s.over[i] != nil {
			continue
		}
		it := &s.Items[i]
		e := &hook.Event{Key: it.Key, Type: it.Type, Time: it.Time, Data: it.Data, Previous: it.Previous, Metadata: it.Metadata, OrderingKey: it.OrderingKey, Trace: s.trace}
		if it.Key != "" {
			e.Fingerprint = fingerprint(it)
		}
		s.events[i] = e
	}
}
