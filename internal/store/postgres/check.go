package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Finding is one thing that is wrong in a store.
type Finding struct {
	Table   string // "": the store as a whole
	Problem string
	Advice  string
}

// Report is what Check found.
type Report struct {
	Findings      []Finding
	Events        int64
	Configuration *store.Configuration // nil: it cannot be read
}

// adviceDamage is what to do about rows that do not fit together. Nothing that the store
// does leads to them.
const adviceDamage = "find out what else writes to the database, and restore it from a backup to a moment before"

// rule is a query that counts what is wrong in a table.
type rule struct{ table, problem, sql string }

// rules hold of the store as a whole. Where there has been no event yet, progress
// begins behind the id 1, which none has.
var rules = []rule{
	{"head", "events are counted that are not there, or the other way round", `SELECT abs(h.events - (SELECT count(*) FROM grapnel.events))
		FROM grapnel.head AS h WHERE NOT EXISTS (SELECT FROM grapnel.gone WHERE NOT counted)`},
	{"events", "events have an id after the last one", `SELECT count(*) FROM grapnel.events AS e, grapnel.head AS h WHERE e.seq > h.last`},
	{"partitions", "partitions are missing", `SELECT 64 - count(*) FROM grapnel.partitions WHERE partition BETWEEN 0 AND 63`},
	{"floors", "progress is past the end of the log", `SELECT count(*) FROM grapnel.floors AS f, grapnel.head AS h WHERE f.seq > greatest(h.last, 1) + 1`},
	{"lane_marks", "marks are past the end of the log", `SELECT count(*) FROM grapnel.lane_marks AS m, grapnel.head AS h WHERE m.seq > greatest(h.last, 1) + 1`},
	{"event_keys", "keys are of events that are not there", `SELECT count(*) FROM grapnel.event_keys AS k JOIN grapnel.units AS u ON k.seq >= u.first AND k.seq < u.until
		WHERE NOT EXISTS (SELECT FROM grapnel.events AS e WHERE e.seq = k.seq AND e.tenant = k.tenant AND e.key = k.key)`},
	{"units", "units lack a table", `SELECT count(*) FROM grapnel.units AS u CROSS JOIN unnest(ARRAY['events', 'attempts', 'deliveries', 'bodies']) AS t
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = ('grapnel.' || t)::regclass AND i.inhrelid = to_regclass('grapnel.' || t || '_' || u.first))`},
	{"endpoints", "endpoints have a number that would be given again", `SELECT count(*) FROM grapnel.endpoints AS e, grapnel.revision AS r WHERE e.num >= r.next_endpoint`},
	{"tenants", "tenants have a number that would be given again", `SELECT count(*) FROM grapnel.tenants AS t, grapnel.revision AS r WHERE t.num >= r.next_tenant`},
}

// unitRules hold of a unit's tables: %[1]d is where it begins.
var unitRules = []rule{
	{"attempts", "attempts are of events that are not there", `SELECT count(*) FROM grapnel.attempts_%[1]d AS a WHERE NOT EXISTS (SELECT FROM grapnel.events_%[1]d AS e WHERE e.seq = a.event)`},
	{"deliveries", "deliveries are of events that are not there", `SELECT count(*) FROM grapnel.deliveries_%[1]d AS d WHERE NOT EXISTS (SELECT FROM grapnel.events_%[1]d AS e WHERE e.seq = d.event)`},
	{"deliveries", "deliveries are in a state that there is not, or of another tenant than their event", `SELECT count(*) FROM grapnel.deliveries_%[1]d AS d
		JOIN grapnel.events_%[1]d AS e ON e.seq = d.event WHERE d.state NOT BETWEEN 1 AND 5 OR d.tenant <> e.tenant OR d.base > d.attempts`},
	{"deliveries", "deliveries have more attempts than they count", `SELECT count(*) FROM grapnel.deliveries_%[1]d AS d
		WHERE d.attempts < (SELECT max(a.n) FROM grapnel.attempts_%[1]d AS a WHERE a.endpoint = d.endpoint AND a.event = d.event)`},
	{"attempts", "attempts that were not the last have no delivery to go on with", `SELECT count(*) FROM grapnel.attempts_%[1]d AS a
		WHERE (a.n > 1 OR a.state <> 3) AND NOT EXISTS (SELECT FROM grapnel.deliveries_%[1]d AS d WHERE d.endpoint = a.endpoint AND d.event = a.event)`},
	{"bodies", "bodies are of no delivery", `SELECT count(*) FROM grapnel.bodies_%[1]d AS b WHERE NOT EXISTS (SELECT FROM grapnel.deliveries_%[1]d AS d WHERE d.endpoint = b.endpoint AND d.event = b.event)`},
}

// Check goes through the whole store, in the state of one moment, and says what is
// wrong. Servers may be at work meanwhile. It changes nothing. tell, if not nil, is
// told which table comes next. An error means that it could not look.
func (s *Store) Check(ctx context.Context, tell func(table string)) (*Report, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	if tell == nil {
		tell = func(string) {}
	}
	c := &checker{tell: tell}
	var err error
	if c.Configuration, err = s.Configuration(ctx, 0); err != nil {
		c.find("", "the configuration cannot be read: "+err.Error(), adviceDamage)
	}
	units, err := s.units(ctx)
	if err == nil {
		err = s.snapshot(ctx, func(tx pgx.Tx) error { return c.check(ctx, tx, units) })
	}
	if err != nil {
		return nil, fmt.Errorf("check the store: %w", mapped(err))
	}
	return &c.Report, nil
}

// checker is a call of Check.
type checker struct {
	Report
	tell func(string)
}

func (c *checker) find(table, problem, advice string) {
	c.Findings = append(c.Findings, Finding{table, problem, advice})
}

func (c *checker) check(ctx context.Context, tx pgx.Tx, units []unit) error {
	for _, r := range rules {
		if err := c.hold(ctx, tx, r, r.table, r.sql); err != nil {
			return err
		}
	}
	for _, u := range units {
		for _, r := range unitRules {
			if err := c.hold(ctx, tx, r, fmt.Sprintf("%s_%d", r.table, u.first), fmt.Sprintf(r.sql, u.first)); err != nil {
				return err
			}
		}
		if err := c.read(ctx, tx, u); err != nil {
			return err
		}
	}
	return nil
}

// hold counts what a rule does not hold of.
func (c *checker) hold(ctx context.Context, tx pgx.Tx, r rule, table, sql string) error {
	c.tell(table)
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return err
	}
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&n}, func() error {
		if n > 0 {
			c.find(table, fmt.Sprintf("%d %s", n, r.problem), adviceDamage)
		}
		return nil
	})
	return err
}

// read reads every event and every attempt of a unit. Of those that cannot be
// understood the first is told.
func (c *checker) read(ctx context.Context, tx pgx.Tx, u unit) error {
	table := fmt.Sprintf("events_%d", u.first)
	c.tell(table)
	rows, err := tx.Query(ctx, `SELECT `+eventColumns+` FROM `+u.table("events")+` AS e`)
	if err != nil {
		return err
	}
	var r eventRow
	var bad error
	_, err = pgx.ForEachRow(rows, r.into(), func() error {
		c.Events++
		e, err := r.event()
		if err == nil && e.ID.Seq() != r.seq {
			err = fmt.Errorf("event %d has another id", r.seq)
		}
		bad = first(bad, err)
		return nil
	})
	if err != nil {
		return err
	}
	rows, err = tx.Query(ctx, `SELECT detail FROM `+u.table("attempts"))
	if err != nil {
		return err
	}
	var detail []byte
	_, err = pgx.ForEachRow(rows, []any{&detail}, func() error {
		bad = first(bad, codec.ParseDetail(detail, &hook.Attempt{}))
		return nil
	})
	if bad != nil {
		c.find(table, "an event or an attempt of it cannot be read: "+bad.Error(), adviceDamage)
	}
	return err
}

// first is the first of two errors.
func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Schema is what a database has of Grapnel.
type Schema struct {
	Name    string // of the database
	Version int    // 0: there is nothing
	Current int    // version that this program brings it to
	Bytes   int64
}

// Pending lists the migrations that are still to be done, as SQL.
func (sc *Schema) Pending() ([]string, error) {
	all, err := steps()
	if err != nil || sc.Version >= len(all) {
		return nil, err
	}
	var out []string
	for _, st := range all[sc.Version:] {
		out = append(out, st.sql)
	}
	return out, nil
}

// ReadSchema looks which schema a database has. It changes nothing.
func ReadSchema(ctx context.Context, url string) (*Schema, error) {
	all, err := steps()
	if err != nil {
		return nil, err
	}
	out := &Schema{Current: len(all)}
	err = connected(ctx, url, func(conn *pgx.Conn) error {
		at, err := schemaOf(ctx, conn)
		out.Version = at.version
		if err == nil {
			err = conn.QueryRow(ctx, `SELECT current_database(), coalesce(sum(pg_relation_size(c.oid)), 0)::bigint
				FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'grapnel'`).Scan(&out.Name, &out.Bytes)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", mapped(err))
	}
	return out, nil
}
