package crash

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// audit is what the database itself is made to note, by triggers that Grapnel knows
// nothing of: who held which partition from when on, and every outcome that somebody
// recorded who did not hold its partition, or said so under another token, and every
// call that was let pass with such a claim (I10). Nodes
// are told by the application name of their connections, which is the beginning of the
// name they hold partitions under; tokens are seen on their way to the function that
// is to refuse them.
type audit struct {
	url  string
	read int64 // the last row of audit.leases that was looked at
}

const auditSQL = `
CREATE SCHEMA audit;
CREATE TABLE audit.lanes (endpoint bigint PRIMARY KEY, id text, partition smallint NOT NULL);
CREATE TABLE audit.leases (n bigserial PRIMARY KEY, at timestamptz NOT NULL, partition smallint NOT NULL, node text, token bigint NOT NULL);
CREATE TABLE audit.stale (at timestamptz NOT NULL, what text NOT NULL, writer text NOT NULL, endpoint bigint NOT NULL, event bigint NOT NULL, holder text);

CREATE TABLE audit.pulse AS SELECT 0::bigint AS n;

CREATE FUNCTION audit.lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit.leases (at, partition, node, token) VALUES (clock_timestamp(), NEW.partition, NEW.node, NEW.token);
  RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON grapnel.partitions FOR EACH ROW
  WHEN (OLD.token IS DISTINCT FROM NEW.token OR OLD.node IS DISTINCT FROM NEW.node) EXECUTE FUNCTION audit.lease();
INSERT INTO audit.leases (at, partition, node, token) SELECT clock_timestamp(), partition, node, token FROM grapnel.partitions;

ALTER FUNCTION grapnel.fence1 RENAME TO fenced;
CREATE FUNCTION grapnel.fence1(_node text, _partitions smallint[], _tokens bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('audit.claims', (SELECT coalesce(string_agg(format('%s:%s', c.partition, c.token), ' '), '') FROM unnest(_partitions, _tokens) AS c (partition, token)), true);
  PERFORM grapnel.fenced(_node, _partitions, _tokens);
  INSERT INTO audit.stale (at, what, writer, endpoint, event, holder)
  SELECT clock_timestamp(), format('under token %s of partition %s', c.token, c.partition), current_setting('application_name'), 0, 0, format('%s under token %s', p.node, p.token)
  FROM unnest(_partitions, _tokens) AS c (partition, token) LEFT JOIN grapnel.partitions AS p USING (partition)
  WHERE p.token IS DISTINCT FROM c.token OR p.node IS DISTINCT FROM _node;
END $$;

CREATE FUNCTION audit.outcome() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  _holder text;
  _claimed boolean;
BEGIN
  SELECT p.node, format('%s:%s', p.partition, p.token) = ANY (string_to_array(current_setting('audit.claims', true), ' '))
  INTO _holder, _claimed FROM grapnel.partitions AS p JOIN audit.lanes AS l USING (partition) WHERE l.endpoint = NEW.endpoint;
  IF NOT coalesce(_claimed AND starts_with(_holder, current_setting('application_name')), false) THEN
    INSERT INTO audit.stale (at, what, writer, endpoint, event, holder)
    VALUES (clock_timestamp(), TG_TABLE_NAME, current_setting('application_name'), NEW.endpoint, NEW.event, _holder);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT ON grapnel.attempts FOR EACH ROW EXECUTE FUNCTION audit.outcome();
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON grapnel.deliveries FOR EACH ROW EXECUTE FUNCTION audit.outcome();
`

// unfencedSQL has whatever a former holder says believed: a flaw for the audit to find.
const unfencedSQL = `CREATE OR REPLACE FUNCTION grapnel.fenced(_node text, _partitions smallint[], _tokens bigint[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$`

// newAudit makes the triggers, once there are endpoints.
func newAudit(ctx context.Context, url string) (*audit, error) {
	a := &audit{url: url}
	err := a.with(ctx, func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, auditSQL, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		rows, err := c.Query(ctx, `SELECT num FROM grapnel.endpoints WHERE NOT deleted`)
		if err != nil {
			return err
		}
		numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		for _, n := range numbers {
			partition := store.PartitionOf(hook.EndpointNum(n))
			if _, err := c.Exec(ctx, `INSERT INTO audit.lanes SELECT num, id, $2::smallint FROM grapnel.endpoints WHERE num = $1::bigint`, n, partition); err != nil {
				return err
			}
		}
		return nil
	})
	return a, err
}

// with runs fn on a connection of its own: the database may be another server each
// time.
func (a *audit) with(ctx context.Context, fn func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, a.url)
	if err == nil {
		err = fn(c)
		_ = c.Close(ctx) // what was asked has been answered
	}
	if err != nil {
		return fmt.Errorf("crash: audit: %w", err)
	}
	return nil
}

// holders counts the partitions by the start of a node that holds them; "" is nobody.
func (a *audit) holders(ctx context.Context) (held map[string]int, err error) {
	held = map[string]int{}
	err = a.with(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT coalesce(node, '') FROM grapnel.partitions`)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, name := range names {
			name, _, _ = strings.Cut(name, "-")
			held[name]++
		}
		return err
	})
	return held, err
}

// lanes lists the endpoints whose partitions a node holds.
func (a *audit) lanes(ctx context.Context, node string) (ids []string, err error) {
	err = a.with(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT l.id FROM audit.lanes AS l JOIN grapnel.partitions AS p USING (partition) WHERE starts_with(p.node, $1::text)`, node)
		if err == nil {
			ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return ids, err
}

// unfence takes the check of tokens away.
func (a *audit) unfence(ctx context.Context) error {
	return a.with(ctx, func(c *pgx.Conn) error { _, err := c.Exec(ctx, unfencedSQL); return err })
}

// holding is a partition's being held from a moment on, until the next one.
type holding struct {
	at        time.Time
	partition int16
	node      string // the start; "": nobody
	before    string // who had it until then
	new       bool   // it was not told before
}

// history lists who held what from when on, in order, from the beginning.
func (a *audit) history(ctx context.Context) (all []holding, lanes map[string]int16, err error) {
	lanes = map[string]int16{}
	err = a.with(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT n, at, partition, split_part(coalesce(node, ''), '-', 1),
			split_part(coalesce(lag(node) OVER (PARTITION BY partition ORDER BY n), ''), '-', 1) FROM audit.leases ORDER BY n`)
		if err != nil {
			return err
		}
		var n int64
		var h holding
		_, err = pgx.ForEachRow(rows, []any{&n, &h.at, &h.partition, &h.node, &h.before}, func() error {
			h.new = n > a.read
			all = append(all, h)
			return nil
		})
		a.read = max(a.read, n)
		if err != nil {
			return err
		}
		rows, err = c.Query(ctx, `SELECT id, partition FROM audit.lanes`)
		if err != nil {
			return err
		}
		var id string
		var partition int16
		_, err = pgx.ForEachRow(rows, []any{&id, &partition}, func() error { lanes[id] = partition; return nil })
		return err
	})
	return all, lanes, err
}

// takenOver says how long after a node's death each of its partitions was held by
// another one; nil: not all are yet.
func (a *audit) takenOver(ctx context.Context, node string, at time.Time) (after []time.Duration, err error) {
	err = a.with(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT (SELECT min(n.at) FROM audit.leases AS n WHERE n.partition = h.partition AND n.n > h.n AND n.node IS NOT NULL)
			FROM (SELECT DISTINCT ON (partition) * FROM audit.leases WHERE at <= $2::timestamptz ORDER BY partition, n DESC) AS h
			WHERE starts_with(h.node, $1::text)`, node, at)
		if err != nil {
			return err
		}
		times, err := pgx.CollectRows(rows, pgx.RowTo[*time.Time])
		for _, t := range times {
			if t == nil {
				after = nil
				return err
			}
			after = append(after, t.Sub(at))
		}
		return err
	})
	return after, err
}

// total puts what was noted into the report.
func (a *audit) total(ctx context.Context, r *NodesReport) error {
	return a.with(ctx, func(c *pgx.Conn) error {
		err := c.QueryRow(ctx, `SELECT (SELECT count(*) FROM grapnel.attempts), (SELECT count(*) FROM audit.leases WHERE node IS NOT NULL AND n > $1)`, store.Partitions).Scan(&r.Writes, &r.Moved)
		if err != nil {
			return err
		}
		rows, err := c.Query(ctx, `SELECT format('%s: %s wrote %s of event %s at endpoint %s, whose partition was held by %s', at, writer, what, event, endpoint, coalesce(holder, 'nobody')) FROM audit.stale ORDER BY at LIMIT 100`)
		if err == nil {
			r.Stale, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
}
