package bench

import (
	"context"
	"encoding/binary"
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
	Groups int           `json:"groups"` // of endpoints, which are counted together
	Slot   time.Duration `json:"slot"`   // of the ages over time; 0: none are kept
	TLS    string        `json:"tls"`    // "": plain HTTP, else tlsHTTP1 or tlsHTTP2
}

// receiverHello is what it answers once it listens.
type receiverHello struct {
	Addr        string `json:"addr"`                  // where deliveries go
	Control     string `json:"control"`               // where its numbers are asked for
	Certificate []byte `json:"certificate,omitempty"` // PEM, to be trusted
}

// receiverStats is what it has seen. First and Last are since the last reset.
type receiverStats struct {
	Requests int64         `json:"requests"` // all, at answering endpoints
	Unique   int64         `json:"unique"`   // by webhook-id and endpoint
	Hanging  int64         `json:"hanging"`  // requests that were never answered
	Waiting  int64         `json:"waiting"`  // requests that slow endpoints have not answered yet
	First    int64         `json:"first"`    // Unix ns of the first unique arrival; 0: none
	Last     int64         `json:"last"`
	Groups   []*groupStats `json:"groups"`
}

// groupStats is the share of one group of endpoints. Ages run from the due time
// of the publish to the arrival, and are there only if the whole was asked for.
type groupStats struct {
	Unique int64                `json:"unique"`
	Last   int64                `json:"last"` // Unix ns, since the last reset
	Age    *histogram           `json:"age,omitempty"`
	Slots  map[int64]*histogram `json:"slots,omitempty"` // by due time ÷ receiverConfig.Slot
}

// receiver is an ordinary net/http server that verifies nothing, and counts. An
// endpoint costs it nothing; only the deliveries that it saw are remembered.
//
//	/ok/GROUP/N           answers 200
//	/hang/GROUP/N         never answers
//	/slow/MS/GROUP/N      answers 200 after so many milliseconds
type receiver struct {
	requests, unique, hanging, waiting, first, last atomic.Int64
	groups                                          []receiverGroup
	shards                                          [64]idShard
	buffers                                         sync.Pool
	slot                                            time.Duration
}

type receiverGroup struct {
	unique, last atomic.Int64
	ages         atomic.Pointer[ages]
}

// ages are how old deliveries were when they arrived: all of them, and those of
// each stretch of time that they were due in.
type ages struct {
	all   histogram
	mu    sync.RWMutex
	slots map[int64]*histogram
}

// maxSlots bounds what a receiver keeps of a very long window.
const maxSlots = 7200

func (a *ages) add(at time.Time, age, slot time.Duration) {
	a.all.add(age)
	if slot == 0 {
		return
	}
	key := at.UnixNano() / int64(slot)
	a.mu.RLock()
	h := a.slots[key]
	a.mu.RUnlock()
	if h == nil {
		a.mu.Lock()
		if h = a.slots[key]; h == nil && len(a.slots) < maxSlots {
			h = &histogram{}
			a.slots[key] = h
		}
		a.mu.Unlock()
	}
	if h != nil {
		h.add(age)
	}
}

type idShard struct {
	mu   sync.Mutex
	seen map[uint64]struct{}
}

func newReceiver(c receiverConfig) *receiver {
	r := &receiver{groups: make([]receiverGroup, c.Groups), slot: c.Slot}
	r.buffers.New = func() any { b := make([]byte, 4<<10); return &b }
	for i := range r.shards {
		r.shards[i].seen = map[uint64]struct{}{}
	}
	r.reset()
	return r
}

// reset forgets ages and times, but neither counts nor ids.
func (r *receiver) reset() {
	for i := range r.groups {
		r.groups[i].ages.Store(&ages{slots: map[int64]*histogram{}})
		r.groups[i].last.Store(0)
	}
	r.first.Store(0)
	r.last.Store(0)
}

// place is what a path asks for.
type place struct {
	kind     string // "ok", "hang" or "slow"
	wait     time.Duration
	group    int
	endpoint uint64
}

func placeOf(path string) (p place, ok bool) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	p.kind = kind
	if kind == "slow" {
		var ms string
		ms, rest, _ = strings.Cut(rest, "/")
		n, err := strconv.Atoi(ms)
		if err != nil || n < 0 {
			return p, false
		}
		p.wait = time.Duration(n) * time.Millisecond
	} else if kind != "ok" && kind != "hang" {
		return p, false
	}
	group, endpoint, _ := strings.Cut(rest, "/")
	var err, err2 error
	p.group, err = strconv.Atoi(group)
	p.endpoint, err2 = strconv.ParseUint(endpoint, 10, 64)
	return p, err == nil && err2 == nil && p.group >= 0
}

// ServeHTTP takes a delivery.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	p, ok := placeOf(q.URL.Path)
	if !ok || p.group >= len(r.groups) {
		http.NotFound(w, q)
		return
	}
	if !r.take(q, p) {
		return // cut off by the sender
	}
	switch p.kind {
	case "hang":
		r.hanging.Add(1)
		<-q.Context().Done()
	case "slow":
		r.waiting.Add(1)
		pause(q.Context(), p.wait)
		r.waiting.Add(-1)
	}
}

// take reads and counts a delivery. It holds no memory for one that waits for its
// answer.
func (r *receiver) take(q *http.Request, p place) (whole bool) {
	buf := r.buffers.Get().(*[]byte)
	defer r.buffers.Put(buf)
	body, err := readBody(q, buf)
	if err != nil {
		return false
	}
	if p.kind == "hang" {
		return true
	}
	now := time.Now()
	r.requests.Add(1)
	id := idOf(q.Header.Get("webhook-id"), body, p.endpoint)
	if !r.shards[id%64].add(id) {
		return true // seen before; the answer is the same
	}
	r.unique.Add(1)
	r.first.CompareAndSwap(0, now.UnixNano())
	r.last.Store(now.UnixNano())
	g := &r.groups[p.group]
	g.unique.Add(1)
	g.last.Store(now.UnixNano())
	if at, ok := sentAt(body); ok {
		g.ages.Load().add(at, now.Sub(at), r.slot)
	}
	return true
}

var idSeed = maphash.MakeSeed()

// idOf is a delivery's identity: a hash of the webhook-id and the endpoint. Not
// every contract sends an id, but no two events have the same body. Of ten
// million deliveries two share a hash once in 400,000 runs.
func idOf(name string, body []byte, endpoint uint64) uint64 {
	var h maphash.Hash
	h.SetSeed(idSeed)
	if name != "" {
		_, _ = h.WriteString(name) // never fails
	} else {
		_, _ = h.Write(body)
	}
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], endpoint)
	_, _ = h.Write(number[:])
	return h.Sum64()
}

func (s *idShard) add(id uint64) bool {
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
	s := &receiverStats{
		Requests: r.requests.Load(), Unique: r.unique.Load(), Hanging: r.hanging.Load(), Waiting: r.waiting.Load(),
		First: r.first.Load(), Last: r.last.Load(),
	}
	for i := range r.groups {
		g := &groupStats{Unique: r.groups[i].unique.Load(), Last: r.groups[i].last.Load()}
		if whole {
			a := r.groups[i].ages.Load()
			a.mu.RLock()
			g.Age, g.Slots = &a.all, make(map[int64]*histogram, len(a.slots))
			for key, h := range a.slots {
				g.Slots[key] = h
			}
			a.mu.RUnlock()
		}
		s.Groups = append(s.Groups, g)
	}
	return s
}

// control answers questions about the numbers.
func (r *receiver) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, q *http.Request) {
		_ = json.NewEncoder(w).Encode(r.stats(q.URL.Query().Has("whole"))) // the asker has gone otherwise
	})
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		r.reset()
		_ = json.NewEncoder(w).Encode(r.stats(false)) // as above
	})
	return mux
}

// receive runs a receiver worker until ctx ends.
func receive(ctx context.Context, c receiverConfig, hello func(receiverHello) error) error {
	r := newReceiver(c)
	secure, trusted, err := certificate(c.TLS, time.Now())
	if err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	var addrs [2]string
	ended := make(chan error, 2)
	for i, h := range []http.Handler{r, r.control()} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("receiver: %w", err)
		}
		addrs[i] = l.Addr().String()
		server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		defer func() { _ = server.Close() }() // the process ends anyway
		if i == 0 && secure != nil {
			server.TLSConfig = secure
			go func() { ended <- server.ServeTLS(l, "", "") }()
			continue
		}
		go func() { ended <- server.Serve(l) }()
	}
	if err := hello(receiverHello{Addr: addrs[0], Control: addrs[1], Certificate: trusted}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return errors.Join(errors.New("receiver ended early"), err)
	}
}
