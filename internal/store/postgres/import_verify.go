package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store"
)

// importOrders are the orders of the tables' keys, as a Source has them.
var importOrders = map[store.SourceTable]string{
	store.SourceTenants:   `num`,
	store.SourceEndpoints: `num`,
	store.SourceTypes:     `name COLLATE "C"`,
	store.SourceKeys:      `id COLLATE "C"`,
	store.SourceReplays:   `id COLLATE "C"`,
	store.SourcePinned:    `name COLLATE "C"`,
	store.SourceAudit:     `num`,
	store.SourceChanges:   `scope COLLATE "C", key COLLATE "C"`,
	store.SourceMarks:     `endpoint`,
	store.SourceExpired:   `endpoint`,

	store.SourceEvents:     `seq`,
	store.SourceAttempts:   `event, endpoint, n`,
	store.SourceDeliveries: `event, endpoint`,
	store.SourceBodies:     `event, endpoint`,
}

// verify reads everything again, there and here, and compares it row by row.
func (m *importer) verify(ctx context.Context) error {
	m.how.Progress(ImportCompares, 0)
	units, err := m.s.units(ctx)
	if err != nil {
		return err
	}
	for table := range importOrders {
		if err := m.compare(ctx, table, units); err != nil {
			return err
		}
	}
	return m.verifyKeys(ctx)
}

// compare compares a table.
func (m *importer) compare(ctx context.Context, table store.SourceTable, units []unit) error {
	next, stop := iter.Pull2(m.from.Rows(ctx, table, 0, math.MaxInt64))
	defer stop()
	n := int64(0)
	for row, err := range m.s.stored(ctx, table, units) {
		if err != nil {
			return err
		}
		want, err, ok := next()
		if err == nil && ok {
			want, err = importRow(table, want)
		}
		if err != nil {
			return err
		}
		if !ok || !sameRow(want, row) {
			return differs(table, row)
		}
		if n++; table == store.SourceEvents && n%importEvents == 0 {
			m.how.Progress(ImportCompares, n)
		}
	}
	if want, err, ok := next(); err != nil || ok {
		return errors.Join(err, differs(table, want))
	}
	return nil
}

// ErrDiffers says that what was copied is not what is in the source.
var ErrDiffers = errors.New("what was copied differs from what is in the folder")

func differs(table store.SourceTable, row []any) error {
	var key any
	if len(row) > 0 {
		key = row[0]
	}
	return fmt.Errorf("%w: in %s, at %v; find out what else writes to the database, run DROP SCHEMA grapnel CASCADE in it, and begin anew", ErrDiffers, table, key)
}

// stored are the rows of a table here, as importRow gives them.
func (s *Store) stored(ctx context.Context, table store.SourceTable, units []unit) store.SourceRows {
	columns := strings.Join(columnsOf(table), ", ")
	var queries []string
	switch table {
	case store.SourceEvents, store.SourceAttempts, store.SourceDeliveries, store.SourceBodies: // each unit is sorted by itself
		for _, u := range units {
			queries = append(queries, `SELECT `+columns+` FROM `+u.table(string(table))+` ORDER BY `+importOrders[table])
		}
	default:
		queries = append(queries, `SELECT `+columns+` FROM grapnel.`+string(table)+` ORDER BY `+importOrders[table])
	}
	return func(yield func([]any, error) bool) {
		for _, sql := range queries {
			rows, err := s.pool.Query(ctx, sql, pgx.QueryExecModeCacheDescribe)
			for err == nil && rows.Next() {
				var row []any
				if row, err = rows.Values(); err == nil && !yield(row, nil) {
					rows.Close()
					return
				}
			}
			if rows != nil {
				rows.Close()
				err = errors.Join(err, rows.Err())
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// sameRow compares a row with one that was read here.
func sameRow(want, got []any) bool {
	if len(want) != len(got) {
		return false
	}
	for i, w := range want {
		switch g := got[i].(type) {
		case []byte:
			b, ok := w.([]byte)
			if !ok || !bytes.Equal(b, g) {
				return false
			}
		case int16:
			if w != int64(g) {
				return false
			}
		case int32:
			if w != int64(g) {
				return false
			}
		default: // int64, string, bool, nil
			if w != g {
				return false
			}
		}
	}
	return true
}

// verifyKeys finds out whether each event with a key is known by it, or a later one is,
// and whether each request is remembered.
func (m *importer) verifyKeys(ctx context.Context) error {
	var missing int64
	err := m.s.pool.QueryRow(ctx, `SELECT count(*) FROM grapnel.events AS e LEFT JOIN grapnel.event_keys AS k ON k.tenant = e.tenant AND k.key = e.key
		WHERE e.key IS NOT NULL AND (k.seq IS NULL OR k.seq < e.seq OR k.seq = e.seq AND (k.tail, k.fingerprint, k.targets) IS DISTINCT FROM (e.tail, e.fingerprint, e.targets))`).Scan(&missing)
	if err != nil {
		return err
	}
	if missing > 0 {
		return differs("event_keys", nil)
	}
	return inGroups(m.from.Rows(ctx, store.SourceRequests, 0, math.MaxInt64), func(rows [][]any) error {
		err := m.s.pool.QueryRow(ctx, `SELECT count(*) FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[]) AS r (scope, key, at, fingerprint, answer)
			LEFT JOIN grapnel.requests AS q ON q.scope = r.scope AND q.key = r.key
			WHERE q.at IS NULL OR q.at = r.at AND (q.fingerprint, q.answer) IS DISTINCT FROM (r.fingerprint, r.answer)`,
			columnOf[string](rows, 0), columnOf[string](rows, 1), columnOf[int64](rows, 2), columnOf[[]byte](rows, 3), columnOf[[]byte](rows, 4)).Scan(&missing)
		if err == nil && missing > 0 {
			err = differs(store.SourceRequests, rows[0])
		}
		return err
	})
}
