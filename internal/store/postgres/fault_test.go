package postgres_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// event makes an event of an id with one target.
func event(seq int64) *hook.Event {
	return &hook.Event{ID: hook.EventIDFrom(seq, uint64(seq)), Tenant: 1, Type: "a", Time: time.Unix(1, 0).UTC(), Data: []byte(`{}`), Targets: []hook.Target{{Endpoint: 1}}}
}

// gate passes bytes between clients and a server. While it is shut, what the server
// says is dropped and the connection cut.
type gate struct {
	net.Listener
	shut atomic.Bool
}

// behind puts a gate before a server and returns the URL that leads through it.
func behind(t *testing.T, to string) (*gate, string) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, server := &gate{Listener: l}, u.Host
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.pass(c, server)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	u.Host = l.Addr().String()
	return g, u.String()
}

func (g *gate) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || g.shut.Load() {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// case 25: an append whose answer is lost is found out about, both when it was stored
// and when it was not.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	direct := pgtest.Database(t)
	g, through := behind(t, direct)
	st, err := postgres.Open(t.Context(), postgres.Options{URL: through, Conns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	first := &store.Batch{Revision: 1, Events: []*hook.Event{event(1 << 40)}}
	if err := st.Append(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	batch := &store.Batch{Revision: 1, Events: []*hook.Event{event(1 << 40)}} // to be raised
	g.shut.Store(true)
	if err := st.Append(t.Context(), batch); !errors.Is(err, store.ErrUnknown) {
		t.Fatalf("got %v, want ErrUnknown", err)
	}
	if _, err := st.Resolve(t.Context(), batch); err == nil {
		t.Fatal("found out without a server")
	}
	g.shut.Store(false)
	stored, err := st.Resolve(t.Context(), batch)
	if err != nil || !stored || batch.Events[0].ID.Seq() != 1<<40+1 || batch.Events[0].Number != first.Events[0].Number+1 {
		t.Fatalf("stored: %v, %v, as %+v", stored, err, batch.Events[0])
	}
	if _, err := st.Event(t.Context(), 1, batch.Events[0].ID); err != nil {
		t.Fatal(err)
	}
}

// An append that is still on its way when somebody asks is not stored afterwards.
func TestGivenUpAppendStaysOut(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	st, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	batch := &store.Batch{Revision: 1, Events: []*hook.Event{event(1 << 40)}}
	if err := st.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	late := st.NextSerial()
	if stored, err := st.Resolve(t.Context(), batch); err != nil || stored {
		t.Fatalf("stored: %v, %v", stored, err)
	}
	st.SetSerial(late - 1)
	if err := st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{event(1 << 41)}}); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	last, err := st.LastEvent(t.Context())
	if err != nil || last != batch.Events[0].ID {
		t.Fatalf("the last event is %v, %v", last, err)
	}
}

// case 22: what was acknowledged is there after a crash of the server, and the store
// goes on by itself.
func TestServerCrashes(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{Durable: true})
	st, err := postgres.Open(t.Context(), postgres.Options{URL: c.Database(t), Conns: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var acknowledged []hook.EventID
	for round := range 3 {
		for i := range int64(20) {
			e := event(1<<40 + int64(round)*100 + i)
			if err := st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{e}}); err != nil {
				t.Fatal(err)
			}
			acknowledged = append(acknowledged, e.ID)
		}
		if err := c.Stop("immediate"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := st.LastEvent(ctx); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("got %v, want ErrUnavailable", err)
		}
		cancel()
		if s, err := st.Stats(t.Context()); err != nil || s.Writable || s.Problem == "" {
			t.Fatalf("stats are %+v, %v", s, err)
		}
		if err := c.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range acknowledged {
		if _, err := st.Event(t.Context(), hook.AllTenants, id); err != nil {
			t.Fatal(err)
		}
	}
}

// Many nodes append at once: ids ascend in the order in which events become visible,
// so that whoever reads on misses nothing.
func TestManyAppend(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	const nodes, each = 4, 30
	reader, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	stop := make(chan struct{})
	for n := range nodes {
		go func() {
			defer func() { stop <- struct{}{} }()
			st, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 2})
			if err != nil {
				t.Error(err)
				return
			}
			defer st.Close()
			for i := range int64(each) {
				e := event(1<<40 + i*int64(n+1)) // clocks differ
				if err := st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{e, event(e.ID.Seq() + 7)}}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	seen, running := 0, nodes
	q := store.EventQuery{Tenant: hook.AllTenants, Oldest: true, Limit: 7}
	for running > 0 || seen < 2*nodes*each {
		select {
		case <-stop:
			running--
		default:
		}
		p, err := reader.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		seen, q.After = seen+len(p.Events), p.Seen
		if running == 0 && len(p.Events) == 0 {
			break
		}
	}
	if seen != 2*nodes*each {
		t.Fatalf("saw %d of %d events", seen, 2*nodes*each)
	}
}
