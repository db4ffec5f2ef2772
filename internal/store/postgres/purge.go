package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// purgeAtOnce is how many events are purged in a transaction.
const purgeAtOnce = 200

// purgedRecords are the tables beside the log that may hold what was purged.
var purgedRecords = []string{"event_keys", "requests", "changes", "inbox", "rejected", "tenants", "endpoints", "keys", "replays", "expired"}

// Purge overwrites events, and writes the tables that they are in anew, so that no
// file of the database holds their bytes; its write-ahead log, standbys and backups are
// the database's own matter. Who publishes or records waits for the tables of that day.
func (s *Store) Purge(ctx context.Context, q store.PurgeQuery) (out store.Purged, err error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return out, store.ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, writing{}, true), pruneTime)
	defer cancel()
	seqs := make([]int64, len(q.Events))
	for i, id := range q.Events {
		seqs[i] = id.Seq()
	}
	slices.Sort(seqs)
	for some := range slices.Chunk(seqs, purgeAtOnce) {
		err := s.transact(ctx, func(tx pgx.Tx) error { return purgeEvents(ctx, tx, some, &out) })
		if err != nil {
			return out, fmt.Errorf("purge: %w", err)
		}
	}
	if q.Scope != "" {
		tag, err := s.pool.Exec(ctx, `DELETE FROM grapnel.requests WHERE scope = $1`, q.Scope)
		if err != nil {
			return out, fmt.Errorf("purge: %w", mapped(err))
		}
		out.Requests = tag.RowsAffected()
	}
	for _, table := range []string{"inbox", "rejected"} {
		if q.Tenant == 0 {
			break
		}
		if _, err := s.pool.Exec(ctx, `DELETE FROM grapnel.`+table+` WHERE tenant = $1`, int64(q.Tenant)); err != nil {
			return out, fmt.Errorf("purge: %w", mapped(err))
		}
	}
	if err := s.rewrite(ctx, seqs, &out); err != nil {
		return out, fmt.Errorf("purge: write the tables anew: %w", mapped(err))
	}
	return out, nil
}

// purgeEvents overwrites some events. What it counts is added once it has all been done.
func purgeEvents(ctx context.Context, tx pgx.Tx, seqs []int64, out *store.Purged) error {
	tag, err := tx.Exec(ctx, `UPDATE grapnel.events SET data = $2, previous = NULL, metadata = NULL, key = NULL, fingerprint = NULL, ordering = NULL
		WHERE seq = ANY ($1) AND data <> $2`, seqs, []byte(hook.PurgedData))
	if err != nil {
		return err
	}
	events := tag.RowsAffected()
	if tag, err = tx.Exec(ctx, `DELETE FROM grapnel.bodies WHERE event = ANY ($1)`, seqs); err != nil {
		return err
	}
	bodies := tag.RowsAffected()
	if _, err = tx.Exec(ctx, `DELETE FROM grapnel.event_keys WHERE seq = ANY ($1)`, seqs); err != nil {
		return err
	}
	attempts, err := purgeAttempts(ctx, tx, seqs)
	if err != nil {
		return err
	}
	out.Events += events
	out.Bodies += bodies
	out.Attempts += attempts
	return nil
}

// purgeAttempts blanks the details of the attempts of some events.
func purgeAttempts(ctx context.Context, tx pgx.Tx, seqs []int64) (int64, error) {
	rows, err := tx.Query(ctx, `SELECT event, endpoint, n::integer, detail FROM grapnel.attempts WHERE event = ANY ($1)`, seqs)
	if err != nil {
		return 0, err
	}
	var events, endpoints []int64
	var ns []int32
	var details [][]byte
	var event, endpoint int64
	var n int32
	var detail []byte
	_, err = pgx.ForEachRow(rows, []any{&event, &endpoint, &n, &detail}, func() error {
		a := &hook.Attempt{}
		if err := codec.ParseDetail(detail, a); err != nil {
			return err
		}
		coder, pack := codec.Details{}, codec.Packer{}
		events, endpoints, ns = append(events, event), append(endpoints, endpoint), append(ns, n)
		details = append(details, coder.Append(nil, hook.BlankAttempt(a), &pack))
		return nil
	})
	if err != nil || len(events) == 0 {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `UPDATE grapnel.attempts AS a SET detail = p.detail
		FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bytea[]) AS p (event, endpoint, n, detail)
		WHERE a.event = p.event AND a.endpoint = p.endpoint AND a.n = p.n AND a.detail <> p.detail`, events, endpoints, ns, details)
	return tag.RowsAffected(), err
}

// rewrite writes the tables anew that events are in. A VACUUM that leaves the file as it is
// would leave the bytes in it until others need the room.
func (s *Store) rewrite(ctx context.Context, seqs []int64, out *store.Purged) error {
	units, err := s.units(ctx)
	if err != nil {
		return err
	}
	var tables []string
	for _, u := range units {
		i, _ := slices.BinarySearch(seqs, u.first)
		if i == len(seqs) || seqs[i] >= u.until {
			continue
		}
		for _, of := range []string{"events", "attempts", "bodies"} {
			tables = append(tables, u.table(of))
		}
		out.Files++
	}
	for _, name := range purgedRecords {
		tables = append(tables, "grapnel."+name)
	}
	for _, table := range tables {
		// While it waits for a reader that stays, everybody else would wait behind it.
		err := s.patiently(ctx, func() error {
			_, err := s.pool.Exec(ctx, "VACUUM FULL "+table)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
