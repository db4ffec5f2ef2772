package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// oldest is the first release that has all that we use, as server_version_num has
// it.
const oldest = 140000

// checkServer refuses a server that is too old, or set so that promises made here
// would not hold, and returns its version.
func checkServer(ctx context.Context, conn *pgx.Conn) (version string, err error) {
	var num int
	var isolation, encoding, sync string
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('server_version_num')::integer,
		current_setting('default_transaction_isolation'), current_setting('server_encoding'), current_setting('synchronous_commit')`).
		Scan(&version, &num, &isolation, &encoding, &sync)
	switch {
	case err != nil:
		return "", mapped(err)
	case num < oldest:
		return "", fmt.Errorf("the server is PostgreSQL %s: Grapnel needs 14 or later", version)
	case encoding != "UTF8":
		return "", fmt.Errorf("the database's encoding is %s: make one with ENCODING 'UTF8'", encoding)
	case isolation != "read committed":
		return "", fmt.Errorf("default_transaction_isolation is %q: set it to 'read committed' for Grapnel's role", isolation)
	case sync == "off" && !relaxed(conn):
		return "", errors.New("synchronous_commit is off, so that what was acknowledged could be lost: set it to on for Grapnel's role")
	}
	return version, nil
}

// relaxed reports whether whoever connects has said that losing what was committed
// does not matter, as tests do.
func relaxed(conn *pgx.Conn) bool {
	return strings.HasPrefix(conn.Config().Database, "grapnel_test_")
}

// asks reports whether a URL sets a parameter.
func asks(text, name string) bool {
	if u, err := url.Parse(text); err == nil && u.Scheme != "" {
		return u.Query().Has(name)
	}
	return strings.Contains(text, name+"=") // the other form, of words
}

// patience is how long the server gets to answer a request to cancel before the
// connection is closed.
const patience = 2 * time.Second

// writing is the key of contexts under which something is written.
type writing struct{}

// giveUp says what happens when a call's time is over. The server is asked to cancel
// what is read, so that it does not go on for nobody. A write is left alone, and its
// connection closed: cancelling a commit that waits for its standby would make the
// server report success without it.
func giveUp(conn *pgconn.PgConn) ctxwatch.Handler {
	return &handler{
		read:  &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: patience},
		write: &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()},
	}
}

// handler picks what to do by the context.
type handler struct {
	read, write, used ctxwatch.Handler
}

// HandleCancel is called when a call's time is over.
func (h *handler) HandleCancel(ctx context.Context) {
	h.used = h.read
	if ctx.Value(writing{}) != nil {
		h.used = h.write
	}
	h.used.HandleCancel(ctx)
}

// HandleUnwatchAfterCancel is called when what was given up has ended.
func (h *handler) HandleUnwatchAfterCancel() { h.used.HandleUnwatchAfterCancel() }
