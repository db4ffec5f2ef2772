package bench

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// receiverConfig is what a receiver worker is asked to do.
type receiverConfig struct {
	Endpoints int `json:"endpoints"` // paths /ok/0 … and /hang/0 …
}

// receiverHello is what it answers once it listens.
type receiverHello struct {
	Addr    string `json:"addr"`    // where deliveries go
	Control string `json:"control"` // where its numbers are asked for
}

// receiverStats is what it has seen.
type receiverStats struct {
	Requests  int64           `json:"requests"` // all, at answering endpoints
	Unique    int64           `json:"unique"`   // by webhook-id and endpoint
	Hanging   int64           `json:"hanging"`  // requests that were never answered
	Last      int64           `json:"last"`     // Unix ns of the last unique arrival
	Endpoints []endpointStats `json:"endpoints,omitempty"`
}

// endpointStats is one endpoint's share. Age runs from the due time of the
// publish to the arrival.
type endpointStats struct {
	Unique int64      `json:"unique"`
	Age    *histogram `json:"age"`
}

// receiver is an ordinary net/http server that answers 200, verifies nothing,
// and counts.
type receiver struct {
	requests, unique, hanging, last atomic.Int64
	endpoints                       []receiverEndpoint
	shards                          [64]idShard
	buffers                         sync.Pool
}

type receiverEndpoint struct {
	unique atomic.Int64
	age    histogram
}

type idShard struct {
	mu   sync.Mutex
	seen map[deliveryID]struct{}
}

// deliveryID is a webhook-id at an endpoint.
type deliveryID struct {
	id       [16]byte
	endpoint int32
}

func newReceiver(c receiverConfig) *receiver {
	r := &receiver{endpoints: make([]receiverEndpoint, c.Endpoints)}
	r.buffers.New = func() any { b := make([]byte, 4<<10); return &b }
	for i := range r.shards {
		r.shards[i].seen = map[deliveryID]struct{}{}
	}
	return r
}

// idOf packs a webhook-id: a UUID exactly, anything else by two hashes.
func idOf(s string, seed maphash.Seed) (id [16]byte) {
	if len(s) == 36 {
		var packed [32]byte
		n := copy(packed[:], s[:8])
		n += copy(packed[n:], s[9:13])
		n += copy(packed[n:], s[14:18])
		n += copy(packed[n:], s[19:23])
		copy(packed[n:], s[24:])
		if _, err := hex.Decode(id[:], packed[:]); err == nil {
			return id
		}
	}
	for i := range 2 {
		h := maphash.String(seed, strconv.Itoa(i)+s)
		for j := range 8 {
			id[i*8+j] = byte(h >> (8 * j))
		}
	}
	return id
}

var idSeed = maphash.MakeSeed()

// ServeHTTP takes a delivery.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), "/")
	number, err := strconv.Atoi(name)
	if err != nil || number < 0 || number >= len(r.endpoints) {
		http.NotFound(w, q)
		return
	}
	buf := r.buffers.Get().(*[]byte)
	defer r.buffers.Put(buf)
	body, err := readBody(q, buf)
	if err != nil {
		return // cut off by the sender
	}
	if kind == "hang" {
		r.hanging.Add(1)
		<-q.Context().Done()
		return
	}
	now := time.Now()
	r.requests.Add(1)
	name = q.Header.Get("webhook-id")
	if name == "" { // not every contract sends it; no two events have the same body
		name = string(body)
	}
	id := deliveryID{idOf(name, idSeed), int32(number)}
	if !r.shards[id.id[15]%64].add(id) {
		return // seen before; the answer is the same
	}
	r.unique.Add(1)
	r.last.Store(now.UnixNano())
	e := &r.endpoints[number]
	e.unique.Add(1)
	if at, ok := sentAt(body); ok {
		e.age.add(now.Sub(at))
	}
}

func (s *idShard) add(id deliveryID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.seen[id]; again {
		return false
	}
	s.seen[id] = struct{}{}
	return true
}

// readBody reads a body of known length into buf, growing it where needed.
func readBody(q *http.Request, buf *[]byte) ([]byte, error) {
	if q.ContentLength < 0 {
		return io.ReadAll(q.Body)
	}
	n := int(q.ContentLength)
	if n > len(*buf) {
		*buf = make([]byte, n)
	}
	_, err := io.ReadFull(q.Body, (*buf)[:n])
	return (*buf)[:n], err
}

// stats tells the numbers, with histograms if whole is set.
func (r *receiver) stats(whole bool) *receiverStats {
	s := &receiverStats{Requests: r.requests.Load(), Unique: r.unique.Load(), Hanging: r.hanging.Load(), Last: r.last.Load()}
	for i := range r.endpoints {
		if whole {
			s.Endpoints = append(s.Endpoints, endpointStats{r.endpoints[i].unique.Load(), &r.endpoints[i].age})
		}
	}
	return s
}

// receive runs a receiver worker until ctx ends.
func receive(ctx context.Context, c receiverConfig, hello func(receiverHello) error) error {
	r := newReceiver(c)
	control := http.NewServeMux()
	control.HandleFunc("GET /stats", func(w http.ResponseWriter, q *http.Request) {
		_ = json.NewEncoder(w).Encode(r.stats(q.URL.Query().Has("whole"))) // the asker has gone otherwise
	})
	var addrs [2]string
	ended := make(chan error, 2)
	for i, h := range []http.Handler{r, control} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("receiver: %w", err)
		}
		addrs[i] = l.Addr().String()
		server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		defer func() { _ = server.Close() }() // the process ends anyway
		go func() { ended <- server.Serve(l) }()
	}
	if err := hello(receiverHello{Addr: addrs[0], Control: addrs[1]}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return errors.Join(errors.New("receiver ended early"), err)
	}
}
