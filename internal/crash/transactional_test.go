package crash_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/client"
	"grapnel/internal/child"
	"grapnel/internal/store/postgres/pgtest"
)

var transactions = flag.Int("transactions", 1500, "transactions of applications in TestTransactionalPublish; the figure is of 10000")

// taker is a receiver that notes under which ids each key came.
type taker struct {
	mu       sync.Mutex
	requests int
	ids      map[string]map[string]bool // of the webhook, by key
}

func (r *taker) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var event struct{ Data struct{ Key string } }
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if r.ids[event.Data.Key] == nil {
		r.ids[event.Data.Key] = map[string]bool{}
	}
	r.ids[event.Data.Key][req.Header.Get("webhook-id")] = true
}

// lack counts the keys that have not come.
func (r *taker) lack(want map[string]bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range want {
		if len(r.ids[key]) == 0 {
			n++
		}
	}
	return n
}

// server is a node that a test kills and starts again.
type server struct {
	addr, store string
	*child.Process
}

const adminKey = "gk_transactional-publish-of-tests-0001"

func (s *server) start(t *testing.T) {
	t.Helper()
	command := append(grapnel(program(t, false)), "--listen", s.addr, "--lease", "1s", "--renew", "250ms")
	p, err := child.Start(child.Config{Command: command, Stdout: t.Output(), Stderr: t.Output(), Env: []string{
		"GRAPNEL_ADMIN_KEY=" + adminKey, "GRAPNEL_SECRET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "GRAPNEL_STORE=" + s.store,
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.Process = p
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Ready(ctx, "http://"+s.addr+"/readyz"); err != nil {
		t.Fatal(err)
	}
}

// application runs transactions that publish one to three events each, of which a third
// is rolled back; it returns the keys of what it committed. Each hundredth stays open
// until the end, while others come and go.
func application(ctx context.Context, store string, name, n int, random *rand.Rand) (committed []string, err error) {
	conn, err := pgx.Connect(ctx, store)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var late []func() error
	for i := range n {
		on := conn
		if i%100 == 50 {
			if on, err = pgx.Connect(ctx, store); err != nil {
				return nil, err
			}
			defer on.Close(ctx)
		}
		tx, err := on.Begin(ctx)
		if err != nil {
			return nil, err
		}
		var keys []string
		for j := range 1 + random.IntN(3) {
			key := fmt.Sprintf("%d.%d.%d", name, i, j)
			if _, err := tx.Exec(ctx, `SELECT grapnel.publish('acme', 'a.b', $1, id => $2)`, `{"key":"`+key+`"}`, key); err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
		end := tx.Rollback
		if random.IntN(3) > 0 {
			end, committed = tx.Commit, append(committed, keys...)
		}
		if on != conn {
			late = append(late, func() error { return end(ctx) })
			continue
		}
		if err := end(ctx); err != nil {
			return nil, err
		}
	}
	for _, end := range late {
		if err := end(); err != nil {
			return nil, err
		}
	}
	return committed, nil
}

// Applications publish in their own transactions, of which a third is rolled back, while
// nodes are killed and started again: exactly what was committed is delivered, each under
// one id.
func TestTransactionalPublish(t *testing.T) {
	const applications = 8
	store := pgtest.Start(t, pgtest.Options{Durable: true}).Database(t)
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 8))
	var nodes []*server
	for range 2 {
		addr, err := child.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		s := &server{addr: addr, store: store}
		s.start(t)
		t.Cleanup(func() { s.Kill() })
		nodes = append(nodes, s)
	}
	receiver := &taker{ids: map[string]map[string]bool{}}
	listener := httptest.NewServer(receiver)
	t.Cleanup(listener.Close)
	api, err := client.New(client.Config{URL: "http://" + nodes[0].addr, Key: adminKey})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(listener.URL)}); err != nil {
		t.Fatal(err)
	}

	want := map[string]bool{}
	var mu sync.Mutex
	var work sync.WaitGroup
	for name := range applications {
		random := rand.New(rand.NewPCG(*seed, uint64(100+name)))
		work.Go(func() {
			committed, err := application(t.Context(), store, name, *transactions/applications, random)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, key := range committed {
				want[key] = true
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	kills := 0
	for over := false; !over; kills++ {
		select {
		case <-done:
			over = true // and one more is killed with the rest under way
		case <-time.After(time.Duration(100+random.IntN(900)) * time.Millisecond):
		}
		n := nodes[random.IntN(len(nodes))]
		n.Kill()
		n.start(t)
	}
	for end := time.Now().Add(5 * time.Minute); receiver.lack(want) > 0 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	for key, ids := range receiver.ids {
		if !want[key] || len(ids) != 1 {
			t.Errorf("%s came under %d ids; it was committed: %v", key, len(ids), want[key])
		}
	}
	for key := range want {
		if receiver.ids[key] == nil {
			t.Errorf("%s was committed and has not come", key)
		}
	}
	t.Logf("%d transactions, %d events committed, %d kills, %d requests more than events", *transactions, len(want), kills, receiver.requests-len(receiver.ids))
}
