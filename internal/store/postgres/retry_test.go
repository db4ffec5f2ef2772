package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres/pgtest"
)

// obstruct has the next n changes of a table end as a conflict with others does.
func obstruct(t *testing.T, url, table, code string, n int) {
	t.Helper()
	run(t, url, fmt.Sprintf(`CREATE SEQUENCE IF NOT EXISTS public.met;
		CREATE OR REPLACE FUNCTION public.obstruct() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF nextval('public.met') <= %d THEN -- it counts on when the transaction is rolled back
				RAISE EXCEPTION 'others were in the way' USING ERRCODE = '%s';
			END IF;
			RETURN NULL;
		END $$;
		SELECT setval('public.met', 1, false);
		CREATE OR REPLACE TRIGGER obstruct AFTER INSERT OR UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION public.obstruct()`, n, code, table))
}

// A right that is missing, or a table, is no fault of what is to be stored: it is tried again.
func TestMissingRightsPass(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	m := join(t, url, "node")
	e := event(1 << 40)
	if err := m.st.Append(t.Context(), &store.Batch{Revision: 100, Events: []*hook.Event{e}}); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"42501", "42P01", "0A000"} {
		obstruct(t, url, "grapnel.head", code, 1000)
		if err := m.st.Append(t.Context(), &store.Batch{Revision: 100, Events: []*hook.Event{event(1<<40 + 10)}}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s while events are stored: %v", code, err)
		}
		obstruct(t, url, "grapnel.attempts", code, 1000)
		if err := m.st.Record(t.Context(), m.lease, delivered(e)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s while outcomes are stored: %v", code, err)
		}
	}
	for code, want := range map[string]error{"22021": store.ErrUnfit, "54000": store.ErrUnfit} {
		obstruct(t, url, "grapnel.head", code, 1000)
		if err := m.st.Append(t.Context(), &store.Batch{Revision: 100, Events: []*hook.Event{event(1<<40 + 10)}}); !errors.Is(err, want) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// What is asked for now is found, however much of another lane was asked for before.
func TestRedeliveredBehindAReplay(t *testing.T) {
	t.Parallel()
	m := join(t, pgtest.Database(t), "node")
	m.st.SetRedeliveredLimit(3)
	var last time.Time
	for i := range 7 {
		e := event(1<<40 + int64(i)*10)
		if i == 6 {
			e.Targets[0].Endpoint = 2
		}
		if err := m.st.Append(t.Context(), &store.Batch{Revision: 100, Events: []*hook.Event{e}}); err != nil {
			t.Fatal(err)
		}
		key := hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[0].Endpoint}
		o := &store.Outcome{Key: key, At: e.Time, State: hook.Failed, Reason: "given up"}
		if err := m.st.Record(t.Context(), m.lease, []*store.Outcome{o}); err != nil {
			t.Fatal(err)
		}
		last = e.Time
		if err := m.st.Redeliver(t.Context(), hook.AllTenants, key, last.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	lanes, err := m.st.Redelivered(t.Context(), time.Unix(0, 0))
	if err != nil || !slices.Contains(lanes, 2) {
		t.Errorf("found %v, %v", lanes, err)
	}
}

// What ends because others got in the way is tried again, a few times, and changes nothing
// if none of them gets through.
func TestConflictsAreTriedAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	m := join(t, url, "node")
	last := int64(1 << 40)
	appended := func() (*hook.Event, error) {
		last += 10
		e := event(last)
		return e, m.st.Append(t.Context(), &store.Batch{Revision: 100, Events: []*hook.Event{e}})
	}
	calls := []struct {
		table string
		call  func() error
	}{
		{"grapnel.head", func() error { _, err := appended(); return err }},
		{"grapnel.attempts", func() error {
			e, err := appended()
			if err == nil {
				err = m.st.Record(t.Context(), m.lease, delivered(e))
			}
			return err
		}},
		{"grapnel.floors", func() error {
			last++
			return m.st.Checkpoint(t.Context(), m.lease, store.Progress{Floor: hook.EventIDFrom(last, 0)})
		}},
		{"grapnel.deliveries", func() error {
			e, err := appended()
			if err == nil {
				err = m.st.Record(t.Context(), m.lease, delivered(e))
			}
			if err == nil {
				err = m.st.Redeliver(t.Context(), hook.AllTenants, hook.DeliveryKey{Event: e.ID, Endpoint: 1}, e.Time)
			}
			return err
		}},
		{"grapnel.types", func() error {
			_, err := m.st.Configure(t.Context(), &store.Change{Types: []*hook.EventType{{Name: "a"}}})
			return err
		}},
	}
	for _, code := range []string{"40001", "40P01"} {
		for _, c := range calls {
			obstruct(t, url, c.table, code, 3)
			if err := c.call(); err != nil {
				t.Errorf("%s on %s, three times: %v", code, c.table, err)
			}
			obstruct(t, url, c.table, code, 1000)
			before, err := m.st.LastEvent(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.call(); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s on %s, always: got %v, want ErrUnavailable", code, c.table, err)
			}
			if after, err := m.st.LastEvent(t.Context()); err != nil || c.table == "grapnel.head" && after != before {
				t.Errorf("%s on %s: the last event is %s after %s, %v", code, c.table, after, before, err)
			}
			run(t, url, `DROP TRIGGER obstruct ON `+c.table)
		}
	}
}
