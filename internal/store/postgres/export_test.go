package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// NextSerial is the serial of the next append, which is skipped.
func (s *Store) NextSerial() int64 {
	s.serial++
	return s.serial
}

// SetSerial says which serial the last append had.
func (s *Store) SetSerial(n int64) { s.serial = n }

// SetClock says what this machine's clock shows.
func (s *Store) SetClock(now func() time.Time) { s.now = now }

// SetRedeliveredLimit says how many deliveries Redelivered looks at.
func (s *Store) SetRedeliveredLimit(n int) { s.redeliveredTo = n }

// Keep looks after the store once.
func (s *Store) Keep(ctx context.Context, now time.Time) error { return s.keep(ctx, now) }

// Statements that are run all the time.
const (
	ArrivedSQL = arrivedSQL
	FreshSQL   = freshSQL
)

// BeginSQL begins a transaction of several round trips.
const BeginSQL = beginSQL

// EndHung ends sessions that hold up others.
func (s *Store) EndHung(ctx context.Context, after time.Duration) error { return s.endHung(ctx, after) }

// InUse tells who keeps units from being removed.
func (s *Store) InUse(ctx context.Context) (string, error) { return s.inUse(ctx) }

// SpanFor is how many ids the next unit covers.
var SpanFor = spanFor

// MigrateWith migrates with more steps than this program has.
func MigrateWith(ctx context.Context, conn *pgx.Conn, more ...string) error {
	all, err := steps()
	for i := 0; i < len(more) && err == nil; i++ {
		var st step
		st, err = newStep(len(all)+1, more[i])
		all = append(all, st)
	}
	if err != nil {
		return err
	}
	return migrate(ctx, conn, all)
}

// WarningsAfter is Warnings for transactions that are open for that long.
func (s *Store) WarningsAfter(ctx context.Context, pinned time.Duration) ([]string, error) {
	return s.warnings(ctx, pinned)
}
