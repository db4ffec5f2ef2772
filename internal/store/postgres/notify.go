package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"grapnel/internal/store"
)

var _ store.Listener = (*Store)(nil)

// Channels. What is said there is a hint.
const (
	eventsChannel = "grapnel_events"
	leasesChannel = "grapnel_leases" // migrations/2.sql
	pingChannel   = "grapnel_ping"
)

// hints says what is heard on a channel.
var hints = map[string]store.Hint{
	eventsChannel: store.HintEvents,
	channel:       store.HintConfiguration,
	leasesChannel: store.HintLeases,
}

const (
	// tellEvery is how often other nodes are told of events at most. Whoever gets many
	// looks for more all the time.
	tellEvery = 20 * time.Millisecond
	// pingEvery is how often a listener makes sure that it hears anything.
	pingEvery = 30 * time.Second
	// pingLimit is how long what is said may take to be heard.
	pingLimit = 5 * time.Second
	// deafFor is how long nobody listens who has heard nothing.
	deafFor = time.Minute
)

// errDeaf: the connection is there, and what is said is not heard.
var errDeaf = errors.New("notifications do not arrive")

// tell has other nodes told of events that were stored.
func (s *Store) tell(events int) {
	if events == 0 || !s.others.Load() {
		return
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// Listen hears from other nodes over a connection of its own. Where nothing is heard,
// as behind a pooler that shares out transactions, it says so once, and tries again
// from time to time (case 33).
func (s *Store) Listen(ctx context.Context, hear func(store.Hint)) {
	var telling sync.WaitGroup
	telling.Go(func() { s.telling(ctx) })
	defer telling.Wait()
	for told := false; ctx.Err() == nil; {
		wait := time.Second
		if err := s.listen(ctx, hear); errors.Is(err, errDeaf) {
			wait = deafFor
			if !told {
				s.log.Warn("this server hears nothing from others through PostgreSQL's notifications, mostly because of a pooler that shares out transactions; it finds what they change by looking, a little later", "error", err)
			}
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// telling tells other nodes of events, until ctx ends. Who is not told finds them.
func (s *Store) telling(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.news:
		}
		_ = s.say(ctx, eventsChannel)
		select {
		case <-ctx.Done():
			return
		case <-time.After(tellEvery):
		}
	}
}

// say notifies a channel.
func (s *Store) say(ctx context.Context, channel string) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	_, err = s.pool.Exec(ctx, `SELECT pg_notify($1::text, $2::text)`, channel, s.appender)
	return err
}

// listen hears over one connection until that ends.
func (s *Store) listen(ctx context.Context, hear func(store.Hint)) error {
	cfg := s.pool.Config().ConnConfig
	cfg.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler { // it goes on when a time of waiting is over
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // a connection that only listened
	}()
	if _, err := conn.PgConn().Exec(ctx, `LISTEN `+eventsChannel+`; LISTEN `+channel+`; LISTEN `+leasesChannel+`; LISTEN `+pingChannel).ReadAll(); err != nil {
		return err
	}
	for _, h := range hints { // something may have been missed
		hear(h)
	}
	for {
		if err := s.ping(ctx, conn, hear); err != nil {
			return err
		}
		quiet, cancel := context.WithTimeout(ctx, pingEvery)
		err := s.hearAll(quiet, conn, hear, func(string) bool { return false })
		cancel()
		if ctx.Err() != nil || quiet.Err() == nil {
			return err
		}
	}
}

// ping finds out whether what is said is heard.
func (s *Store) ping(ctx context.Context, conn *pgx.Conn, hear func(store.Hint)) error {
	if err := s.say(ctx, pingChannel); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	err := s.hearAll(limited, conn, hear, func(payload string) bool { return payload == s.appender })
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return errDeaf
	}
	return err
}

// hearAll passes on what is heard, until a ping is the one that is waited for, or ctx
// ends.
func (s *Store) hearAll(ctx context.Context, conn *pgx.Conn, hear func(store.Hint), done func(payload string) bool) error {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if h, ok := hints[n.Channel]; ok {
			hear(h)
		} else if done(n.Payload) {
			return nil
		}
	}
}
