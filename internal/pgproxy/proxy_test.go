package pgproxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"grapnel/internal/pgproxy"
	"grapnel/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long is a bound that ends what hangs.
const long = time.Minute

// world is a table, a connection straight to it, and a proxy before it.
type world struct {
	*testing.T
	proxy   *pgproxy.Proxy
	through string
	direct  *pgx.Conn
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	url := pgtest.Empty(t)
	p, through, err := pgproxy.Before(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{T: t, proxy: p, through: through}
	w.direct = w.connect(url)
	if _, err := w.direct.Exec(t.Context(), `CREATE TABLE seen (n integer)`); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) connect(url string) *pgx.Conn {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), long)
	defer cancel()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (w *world) count() (n int) {
	w.Helper()
	if err := w.direct.QueryRow(w.Context(), `SELECT count(*) FROM seen`).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

// eventually waits until so many rows are there.
func (w *world) eventually(want int) {
	w.Helper()
	for end := time.Now().Add(long); w.count() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("%d rows, want %d", w.count(), want)
		}
	}
}

func insert(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `INSERT INTO seen VALUES ($1)`, 1)
	return err
}

// case 25: a statement's connection is cut at each of its moments, however the client
// sends statements.
func TestCut(t *testing.T) {
	for name, at := range map[string]pgproxy.Moment{"unsent": pgproxy.Unsent, "sent": pgproxy.Sent, "answered": pgproxy.Answered, "late": pgproxy.Late} {
		for _, mode := range []string{"cache_describe", "cache_statement", "exec", "simple_protocol"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				w := newWorld(t)
				c := w.connect(w.through + "&default_query_exec_mode=" + mode)
				if err := insert(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				done := w.proxy.Cut("INSERT INTO seen", at)
				if _, err := c.Exec(t.Context(), `SELECT 1`); err != nil {
					t.Fatalf("another statement was cut: %v", err)
				}
				if err := insert(t.Context(), c); err == nil {
					t.Fatal("the statement was answered")
				}
				<-done
				switch at {
				case pgproxy.Unsent:
					w.eventually(1)
				case pgproxy.Late:
					w.eventually(1)
					w.proxy.Deliver()
					w.eventually(2)
				case pgproxy.Answered:
					if n := w.count(); n != 2 {
						t.Errorf("%d rows when the answer was dropped", n)
					}
				default:
					w.eventually(2)
				}
				if err := insert(t.Context(), w.connect(w.through)); err != nil {
					t.Errorf("the next one: %v", err)
				}
			})
		}
	}
}

// case 26: a black hole tells nobody, and what was in it arrives when it ends.
func TestHold(t *testing.T) {
	for name, c := range map[string]struct {
		way    pgproxy.Direction
		during int // rows that get through meanwhile
	}{
		"both": {pgproxy.Both, 0}, "to the server": {pgproxy.ToServer, 0}, "to the client": {pgproxy.ToClient, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			conn := w.connect(w.through + "&default_query_exec_mode=exec") // one exchange for a statement
			w.proxy.Hold(c.way)
			answered := make(chan error, 1)
			go func() { answered <- insert(t.Context(), conn) }()
			w.eventually(c.during)
			select {
			case err := <-answered:
				t.Fatalf("it was answered: %v", err)
			default:
			}
			short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := pgx.Connect(short, w.through); err == nil {
				t.Error("a connection was made")
			}
			w.proxy.Release()
			if err := <-answered; err != nil {
				t.Error(err)
			}
			w.eventually(1)
		})
	}
}

func TestDelay(t *testing.T) {
	w := newWorld(t)
	c := w.connect(w.through)
	const d = 60 * time.Millisecond
	w.proxy.Delay(d)
	began := time.Now()
	if _, err := c.Exec(t.Context(), `SELECT 1`); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < d {
		t.Errorf("answered after %s", took)
	}
}

// case 33: notifications are dropped, and nothing else.
func TestMute(t *testing.T) {
	w := newWorld(t)
	c := w.connect(w.through)
	if _, err := c.Exec(t.Context(), `LISTEN news`); err != nil {
		t.Fatal(err)
	}
	for _, muted := range []bool{false, true} {
		w.proxy.Mute(muted)
		if _, err := w.direct.Exec(t.Context(), `NOTIFY news`); err != nil {
			t.Fatal(err)
		}
		if !muted {
			if _, err := c.WaitForNotification(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if n, err := c.WaitForNotification(short); err == nil {
			t.Errorf("heard %+v", n)
		}
		cancel()
	}
}

func TestDrop(t *testing.T) {
	w := newWorld(t)
	c := w.connect(w.through)
	w.proxy.Drop()
	if err := insert(t.Context(), c); err == nil {
		t.Error("its connection lives on")
	}
	if err := insert(t.Context(), w.connect(w.through)); err != nil {
		t.Error(err)
	}
}
