package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/crashpoint"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const (
	// importEvents is how many events are copied in one transaction, and importBytes
	// what they may carry.
	importEvents = 10_000
	importBytes  = 16 << 20
	// importKeys is how many keys are stored at once.
	importKeys = 1000
)

// ImportOptions say how a store is copied.
type ImportOptions struct {
	Verify bool // hold what is there against the source when all is copied
	// Ready, if not nil, is called when all is there, before the database can be
	// opened. If it fails, it stays closed, and the next call goes on here.
	Ready func() error
	// Progress, if not nil, is told how many events were copied, and then how many
	// were compared.
	Progress func(step ImportStep, events int64)
	events   int // importEvents; tests say otherwise
}

// ImportStep is a step of Import.
type ImportStep int

// Steps of Import.
const (
	ImportCopies ImportStep = iota
	ImportCompares
)

// Imported says what was copied.
type Imported struct {
	Resumed                                          int64 // events that an earlier call had copied
	Events, Attempts, Deliveries, Tenants, Endpoints int64 // Deliveries: all, recorded or not
	Verified                                         bool
}

// Import copies a store into a database that has nothing in it. Ids, numbers and times
// stay as they are, and whatever waits is due when it was. The copy is made in
// many transactions; one that was cut short is gone on with by the same call, and until
// it is complete Open refuses the database. ErrNotEmpty: there is something in it;
// store.ErrLocked: a part of another store is, or a server has it.
func Import(ctx context.Context, opts Options, from store.Source, how ImportOptions) (*Imported, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if how.events == 0 {
		how.events = importEvents
	}
	if how.Progress == nil {
		how.Progress = func(ImportStep, int64) {}
	}
	s := &Store{opts: opts, log: opts.Logger, now: time.Now, news: make(chan struct{}, 1)}
	if err := s.connect(ctx); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer s.disconnect()
	m := &importer{s: s, from: from, about: from.About(), how: how}
	if err := m.run(context.WithValue(ctx, writing{}, true)); err != nil {
		return nil, fmt.Errorf("import: %w", mapped(err))
	}
	return &m.out, nil
}

// importer is a call of Import.
type importer struct {
	s     *Store
	from  store.Source
	about store.SourceInfo
	how   ImportOptions
	out   Imported
}

func (m *importer) run(ctx context.Context) error {
	at, err := m.begin(ctx)
	if err != nil {
		return err
	}
	m.out.Resumed = at.events
	if !at.copied {
		if err := m.copyLog(ctx, at); err != nil {
			return err
		}
		if err := m.finish(ctx); err != nil {
			return err
		}
	}
	if m.how.Verify {
		if err := m.verify(ctx); err != nil {
			return err
		}
		m.out.Verified = true
	}
	if err := m.count(ctx); err != nil {
		return err
	}
	if m.how.Ready != nil {
		if err := m.how.Ready(); err != nil {
			return err
		}
	}
	crashpoint.Hit("mid-move")
	_, err = m.s.pool.Exec(ctx, `DROP TABLE grapnel.import`)
	return err
}

// begin makes the schema, copies what is not in the log, and says how far the log is.
func (m *importer) begin(ctx context.Context) (*importState, error) {
	conn, err := m.s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	if _, err := checkServer(ctx, conn.Conn()); err != nil {
		return nil, err
	}
	all, err := steps()
	if err != nil {
		return nil, err
	}
	if err := bringUp(ctx, conn.Conn(), all); err != nil {
		return nil, err
	}
	at, err := importing(ctx, conn)
	if err == nil && at == nil {
		at = &importState{name: m.about.Name, since: m.about.Since}
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if err := refuseFull(ctx, tx); err != nil {
				return err
			}
			return m.copyRecords(ctx, tx, at)
		})
		crashpoint.Hit("mid-move")
	}
	if err == nil {
		err = at.resumes(m.about)
	}
	return at, err
}

// recordTables are what is copied first, in one transaction.
var recordTables = []store.SourceTable{
	store.SourceTenants, store.SourceEndpoints, store.SourceTypes, store.SourceKeys, store.SourceReplays, store.SourcePinned, store.SourceAudit, store.SourceChanges, store.SourceExpired,
}

// copyRecords copies the configuration and what is kept beside the log.
func (m *importer) copyRecords(ctx context.Context, tx pgx.Tx, at *importState) error {
	for _, table := range recordTables {
		if _, err := m.copyRows(ctx, tx, table, m.from.Rows(ctx, table, 0, math.MaxInt64)); err != nil {
			return err
		}
	}
	if err := m.copyRequests(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE grapnel.revision SET n = $1, next_tenant = $2, next_endpoint = $3`, m.about.Revision, m.about.NextTenant, m.about.NextEndpoint)
	if err == nil {
		_, err = tx.Exec(ctx, importTable)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO grapnel.import (name, since, after, copied, events, attempts, deliveries, bodies) VALUES ($1, $2, 0, false, 0, 0, 0, 0)`, at.name, at.since)
	}
	return err
}

// copyRows copies rows into the table of the same name.
func (m *importer) copyRows(ctx context.Context, tx pgx.Tx, table store.SourceTable, rows store.SourceRows) (int64, error) {
	next, stop := iter.Pull2(rows)
	defer stop()
	n, err := tx.CopyFrom(ctx, pgx.Identifier{"grapnel", string(table)}, columnsOf(table), pgx.CopyFromFunc(func() ([]any, error) {
		row, err, ok := next()
		if err != nil || !ok {
			return nil, err
		}
		return importRow(table, row)
	}))
	if err != nil {
		err = fmt.Errorf("copy %s: %w", table, err)
	}
	return n, err
}

// columnsOf are the columns that importRow gives.
func columnsOf(table store.SourceTable) []string {
	columns := store.SourceColumns[table]
	switch table {
	case store.SourceEvents:
		columns = append(slices.Clip(columns), "parts")
	case store.SourceMarks:
		columns = append(slices.Clip(columns), "partition")
	}
	return columns
}

// importRow is a row as it is stored here.
func importRow(table store.SourceTable, row []any) ([]any, error) {
	switch table {
	case store.SourceEvents:
		list, _ := row[7].([]byte)
		targets, err := codec.ParseTargets(list)
		if err != nil {
			return nil, fmt.Errorf("event %v: %w", row[0], err)
		}
		return append(row, int64(partsOf(targets))), nil
	case store.SourceMarks:
		endpoint, _ := row[0].(int64)
		return append(row, int64(store.PartitionOf(hook.EndpointNum(endpoint)))), nil
	case store.SourceAttempts:
		if n, _ := row[2].(int64); n > maxAttempts {
			return nil, fmt.Errorf("a delivery of event %v has %d attempts: no more than %d can be kept here", row[0], n, maxAttempts)
		}
		row[6] = asText(row[6])
	case store.SourceDeliveries:
		row[9] = asText(row[9])
	}
	return row, nil
}

// asText is what PostgreSQL takes of a text that is written for people.
func asText(v any) string {
	s, _ := v.(string)
	return text(s)
}

// copyRequests copies the requests that brought events. Where one is there again, the
// later one counts.
func (m *importer) copyRequests(ctx context.Context, tx pgx.Tx) error {
	return inGroups(m.from.Rows(ctx, store.SourceRequests, 0, math.MaxInt64), func(rows [][]any) error {
		scopes, keys := columnOf[string](rows, 0), columnOf[string](rows, 1)
		_, err := tx.Exec(ctx, `INSERT INTO grapnel.requests AS q (scope, key, at, raised, fingerprint, answer)
			SELECT DISTINCT ON (scope, key) scope, key, at, 0, fingerprint, answer
			FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[]) WITH ORDINALITY AS r (scope, key, at, fingerprint, answer, place)
			ORDER BY scope, key, place DESC
			ON CONFLICT (scope, key) DO UPDATE SET at = excluded.at, fingerprint = excluded.fingerprint, answer = excluded.answer`,
			scopes, keys, columnOf[int64](rows, 2), columnOf[[]byte](rows, 3), columnOf[[]byte](rows, 4))
		return err
	})
}

// inGroups calls each with importKeys rows at a time.
func inGroups(rows store.SourceRows, each func([][]any) error) error {
	var group [][]any
	for row, err := range rows {
		if err != nil {
			return err
		}
		if group = append(group, row); len(group) == importKeys {
			if err := each(group); err != nil {
				return err
			}
			group = group[:0]
		}
	}
	if len(group) == 0 {
		return nil
	}
	return each(group)
}

// columnOf is a column of rows; null is the zero value.
func columnOf[T any](rows [][]any, i int) []T {
	out := make([]T, len(rows))
	for n, row := range rows {
		out[n], _ = row[i].(T)
	}
	return out
}

// copyLog copies the log from where a copy is.
func (m *importer) copyLog(ctx context.Context, at *importState) error {
	for {
		m.how.Progress(ImportCopies, at.events)
		run, err := m.from.Next(ctx, at.after, m.how.events, importBytes)
		if err != nil || run.Events == 0 {
			return err
		}
		if err := m.cutFor(ctx, run); err != nil {
			return err
		}
		next := *at
		err = pgx.BeginFunc(ctx, m.s.pool, func(tx pgx.Tx) error {
			next = *at
			if err := m.copyRun(ctx, tx, &next, run.Last+1); err != nil {
				return err
			}
			if err := m.advance(ctx, tx, at.after, &next); err != nil {
				return err
			}
			crashpoint.Hit("mid-move")
			return nil
		})
		if err != nil {
			return err
		}
		*at = next
	}
}

// cutFor makes the units that a run of events needs, and no others: there may be years
// between two events.
func (m *importer) cutFor(ctx context.Context, run store.SourceRun) error {
	span := max(1, seqsOf(m.s.opts.UnitSpan)/unitParts) // the smallest unit that cut makes
	if run.First/span == run.Last/span {
		return m.s.cut(ctx, []int64{run.First})
	}
	var seqs []int64
	last := int64(-1)
	for row, err := range m.from.Rows(ctx, store.SourceEvents, run.First, run.Last+1) {
		if err != nil {
			return err
		}
		if seq, _ := row[0].(int64); seq/span != last {
			seqs, last = append(seqs, seq), seq/span
		}
	}
	return m.s.cut(ctx, seqs)
}

// copyRun copies the events after the last one that was copied, up to until, with all
// that belongs to them.
func (m *importer) copyRun(ctx context.Context, tx pgx.Tx, at *importState, until int64) error {
	from := at.after + 1
	keyed := [][]any{}
	events := func(yield func([]any, error) bool) {
		for row, err := range m.from.Rows(ctx, store.SourceEvents, from, until) {
			if err == nil && row[9] != nil {
				keyed = append(keyed, []any{row[2], row[9], row[0], row[1], row[10], row[7]})
			}
			if !yield(row, err) {
				return
			}
		}
	}
	tables := []struct {
		name store.SourceTable
		rows store.SourceRows
		n    *int64
	}{
		{store.SourceEvents, events, &at.events},
		{store.SourceAttempts, m.from.Rows(ctx, store.SourceAttempts, from, until), &at.attempts},
		{store.SourceDeliveries, m.from.Rows(ctx, store.SourceDeliveries, from, until), &at.deliveries},
		{store.SourceBodies, m.from.Rows(ctx, store.SourceBodies, from, until), &at.bodies},
	}
	for _, t := range tables {
		n, err := m.copyRows(ctx, tx, t.name, t.rows)
		if err != nil {
			return err
		}
		*t.n += n
	}
	at.after = until - 1
	for group := range slices.Chunk(keyed, importKeys) {
		if err := m.putKeys(ctx, tx, group); err != nil {
			return err
		}
	}
	return nil
}

// putKeys stores the keys of events. Where one is there again, for it was forgotten in
// between, the later event counts.
func (m *importer) putKeys(ctx context.Context, tx pgx.Tx, rows [][]any) error {
	_, err := tx.Exec(ctx, `INSERT INTO grapnel.event_keys AS k (tenant, key, seq, tail, fingerprint, targets)
		SELECT DISTINCT ON (tenant, key) * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[]) AS e (tenant, key, seq, tail, fingerprint, targets)
		ORDER BY tenant, key, seq DESC
		ON CONFLICT (tenant, key) DO UPDATE SET seq = excluded.seq, tail = excluded.tail, fingerprint = excluded.fingerprint, targets = excluded.targets`,
		columnOf[int64](rows, 0), columnOf[string](rows, 1), columnOf[int64](rows, 2), columnOf[int64](rows, 3), columnOf[[]byte](rows, 4), columnOf[[]byte](rows, 5))
	if err != nil {
		err = fmt.Errorf("copy keys: %w", err)
	}
	return err
}

// errElsewhere says that somebody else has gone on with the copy.
var errElsewhere = errors.New("another grapnel db move is at this database")

// advance says how far the copy is, if nobody else has gone on with it.
func (m *importer) advance(ctx context.Context, tx pgx.Tx, after int64, to *importState) error {
	tag, err := tx.Exec(ctx, `UPDATE grapnel.import SET after = $2, events = $3, attempts = $4, deliveries = $5, bodies = $6 WHERE after = $1 AND NOT copied`,
		after, to.after, to.events, to.attempts, to.deliveries, to.bodies)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("%w: %w", store.ErrLocked, errElsewhere)
	}
	return err
}

// finish says where the log ends, and how far dispatch is in it.
func (m *importer) finish(ctx context.Context) error {
	return pgx.BeginFunc(ctx, m.s.pool, func(tx pgx.Tx) error {
		a := &m.about
		tag, err := tx.Exec(ctx, `UPDATE grapnel.import SET copied = true WHERE NOT copied`)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("%w: %w", store.ErrLocked, errElsewhere)
		}
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE grapnel.head SET last = $1, tail = $2, number = $3, expired = $4, events = (SELECT i.events FROM grapnel.import AS i)`,
				a.Last.Seq(), int64(a.Last.Tail()), a.NextNumber, a.Expired)
		}
		if err == nil && !a.Floor.IsZero() {
			_, err = tx.Exec(ctx, `INSERT INTO grapnel.floors (partition, seq, tail) SELECT p, $1, $2 FROM generate_series(0, $3::integer) AS p`,
				a.Floor.Seq(), int64(a.Floor.Tail()), store.Partitions-1)
		}
		if err == nil {
			_, err = m.copyRows(ctx, tx, store.SourceMarks, m.from.Rows(ctx, store.SourceMarks, 0, math.MaxInt64))
		}
		if err == nil { // whoever opens it soon needs plans for what is there
			_, err = tx.Exec(ctx, `ANALYZE grapnel.events, grapnel.attempts, grapnel.deliveries, grapnel.bodies, grapnel.event_keys, grapnel.requests`)
		}
		crashpoint.Hit("mid-move")
		return err
	})
}

// count says what there is.
func (m *importer) count(ctx context.Context) error {
	return m.s.pool.QueryRow(ctx, `SELECT i.events, i.attempts, $1::bigint - coalesce((SELECT min(e.number) FROM grapnel.events AS e), $1::bigint),
			(SELECT count(*) FROM grapnel.tenants WHERE NOT deleted), (SELECT count(*) FROM grapnel.endpoints WHERE NOT deleted) FROM grapnel.import AS i`, m.about.NextNumber).
		Scan(&m.out.Events, &m.out.Attempts, &m.out.Deliveries, &m.out.Tenants, &m.out.Endpoints)
}
