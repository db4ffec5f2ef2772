package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"grapnel/internal/store"
)

// SQLSTATEs of our functions (migrations/2.sql).
const (
	codeStale     = "GRP01"
	codeKeyTaken  = "GRP02"
	codeGivenUp   = "GRP03"
	codeLeaseLost = "GRP04"
	codeTaken     = "GRP05"
)

// SQLSTATEs that are told apart here.
const (
	codeCheck        = "23514" // also: no partition for a row
	codeUnique       = "23505"
	codeTwice        = "21000" // a row would be updated twice in one statement
	codeReadOnly     = "25006"
	codeSerializable = "40001"
	codeDeadlock     = "40P01"
	codeNoTable      = "42P01"
	codeDiskFull     = "53100"
	codeCancelled    = "57014"
	codeLocked       = "55P03" // lock_timeout
)

// mapped wraps an error with the store's word for it.
func mapped(err error) error {
	if err == nil {
		return nil
	}
	word := wordFor(err)
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		err = &unconnected{err, connect}
	}
	if word != nil && !errors.Is(err, word) {
		return fmt.Errorf("%w: %w", word, err)
	}
	return err
}

// unconnected tells on one line why there is no connection: pgconn has a line for
// each way that it tried, and most say the same.
type unconnected struct {
	error
	connect *pgconn.ConnectError
}

// Error names the database, the user and the reasons, each once.
func (u *unconnected) Error() string {
	var why []string
	for line := range strings.SplitSeq(u.connect.Unwrap().Error(), "\n") {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(why, line) {
			why = append(why, line)
		}
	}
	const plain = "tls error: server refused TLS connection" // tried first where sslmode says prefer
	if rest := slices.DeleteFunc(slices.Clone(why), func(line string) bool { return strings.HasSuffix(line, plain) }); len(rest) > 0 {
		why = rest
	}
	return fmt.Sprintf("cannot connect to database %q as %q: %s", u.connect.Config.Database, u.connect.Config.User, strings.Join(why, "; "))
}

// Unwrap is what pgx said.
func (u *unconnected) Unwrap() error { return u.error }

// wordFor is the store's error for one of PostgreSQL's or of the connection; nil
// where there is none.
func wordFor(err error) error {
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, store.ErrClosed), errors.Is(err, context.Canceled):
		return nil
	case !errors.As(err, &pg):
		if isConnection(err) {
			return store.ErrUnavailable
		}
		return nil
	}
	switch pg.Code {
	case codeStale:
		return store.ErrStale
	case codeKeyTaken:
		return store.ErrKeyTaken
	case codeLeaseLost:
		return store.ErrLeaseLost
	case codeTaken:
		return store.ErrTaken
	case codeDiskFull:
		return store.ErrFull
	case codeReadOnly, codeSerializable, codeDeadlock, codeGivenUp, codeCancelled:
		return store.ErrUnavailable
	}
	switch class(pg.Code) {
	case "22", "54": // data that a column cannot hold, or too much of it
		return store.ErrUnfit
	case "08", // the connection
		"28",       // who we are, as while passwords change
		"3D",       // there is no such database, or not yet
		"0A", "42", // a right, table or function that is missing: nothing that is stored is at fault
		"53", "55", "57", // resources, locks, an operator
		"58", "XX": // the system, a broken file
		return store.ErrUnavailable
	}
	return nil
}

func class(code string) string { return code[:min(2, len(code))] }

// isConnection reports whether an error is of the way to the server. Whatever pgx
// and the pool return that is not the server's own word is that, or the end of a
// call's time.
func isConnection(err error) bool {
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) || broken(err)
}

// broken reports whether a connection ended under a call.
func broken(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return true
	}
	text := err.Error()
	for _, sign := range []string{"conn closed", "closed pool", "conn busy"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// isCode reports whether an error is the server's, with one of these SQLSTATEs.
func isCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		for _, c := range codes {
			if pg.Code == c {
				return true
			}
		}
	}
	return false
}

// inDoubt reports whether a statement that failed so may have been committed all the
// same: it was sent, and the server has not said that it failed. Where a server says
// that it is going down, it has rolled back.
func inDoubt(err error) bool {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError // there was no connection to send it on
	return err != nil && !errors.As(err, &pg) && !errors.As(err, &connect) && !pgconn.SafeToRetry(err)
}

// tries is how often a transaction is tried that others got in the way of.
const tries = 5

// again runs fn until it is not ended by a deadlock or a conflict with others. fn
// changes nothing when it fails.
func again(ctx context.Context, fn func() error) error {
	for n := 1; ; n++ {
		err := fn()
		if n == tries || !isCode(err, codeSerializable, codeDeadlock) {
			return err
		}
		select {
		case <-time.After(time.Duration(n) * time.Duration(1+rand.IntN(5)) * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
