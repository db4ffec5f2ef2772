package sqlite_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// generator makes events of many tenants and endpoints, and their outcomes.
type generator struct {
	now    time.Time
	seq    int64
	random *rand.Rand
	data   []byte
}

func newGenerator() *generator {
	return &generator{now: time.Unix(1_800_000_000, 0), random: rand.New(rand.NewPCG(1, 2)), data: bytes.Repeat([]byte("0123456789abcdef"), 64)}
}

func (g *generator) batch(n int) []*hook.Event {
	out := make([]*hook.Event, n)
	for i := range out {
		g.now = g.now.Add(50 * time.Microsecond)
		id := hook.NextEventID(g.seq, g.now, g.random.Uint64())
		g.seq = id.Seq()
		endpoint := hook.EndpointNum(1 + g.random.IntN(10_000))
		out[i] = &hook.Event{
			ID: id, Tenant: hook.TenantNum(endpoint / 10), Type: "invoice.paid", Time: g.now, Data: g.data, Key: fmt.Sprint("order-", g.seq),
			Targets: []hook.Target{{Endpoint: endpoint}}, Revision: 1,
		}
	}
	return out
}

func (g *generator) outcomes(events []*hook.Event) []*store.Outcome {
	out := make([]*store.Outcome, len(events))
	for i, e := range events {
		k := hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[0].Endpoint}
		out[i] = &store.Outcome{Key: k, At: g.now, State: hook.Delivered, FirstAt: g.now, Attempt: &hook.Attempt{
			Key: k, N: 1, At: g.now, Method: "POST", URL: "https://customer.example.com/webhooks/in", BodySize: 1100, Status: 200, Proto: "HTTP/1.1",
			RequestHeader: []byte("Host: customer.example.com\r\nUser-Agent: Grapnel\r\nContent-Length: 1034\r\nContent-Type: application/json\r\nwebhook-id: " + e.ID.String() +
				"\r\nwebhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=\r\nwebhook-timestamp: 1800000000\r\n"),
			ResponseHeader: []byte("date: Sun, 22 Nov 2026 06:00:00 GMT\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n"), ResponseBody: []byte("ok"),
			RemoteAddr: "192.0.2.1:443", TLSVersion: "TLS 1.3", Reused: true, Timing: hook.Timing{Wait: 5 * time.Millisecond, Total: 6 * time.Millisecond}, State: hook.Delivered,
		}}
	}
	g.random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
