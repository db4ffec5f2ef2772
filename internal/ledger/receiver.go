package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Request is one request as a receiver saw it.
type Request struct {
	Seq        int64     // order of arrival
	At         time.Time // when its body had been read
	Endpoint   string    // id of the endpoint that it was for
	Event      string    // webhook-id
	Key        string    // the producer's key, from data
	SHA256     string    // hex, of the body
	DataSHA256 string    // hex, of the exact bytes of data
	Header     http.Header
	Conn       int64     // number of the connection
	ConnAt     time.Time // when that was accepted
	Node       string    // who of several nodes made it; "": not known
	Status     int       // what it was answered with; 0: it was not
	Problem    string    // why it did not verify, or is not a webhook; "" if it is fine
}

// OK reports whether the request was answered with success.
func (r *Request) OK() bool { return r.Status >= 200 && r.Status < 300 }

// Answer decides how a receiver answers: with which status, after which time.
// n counts the requests of this event at this endpoint, 1 for the first. A
// status of 0 means never.
type Answer func(r *Request, n int) (status int, after time.Duration)

// Receiver is an HTTP server that verifies and notes every request. It stands
// for many endpoints, one for each path.
type Receiver struct {
	url    string
	server *http.Server
	ended  chan struct{}
	closed context.CancelFunc

	mu        sync.Mutex
	endpoints map[string]*endpoint // by path
	requests  []*Request
	seen      map[[2]string]int // by endpoint and event
	conns     int64
	last      int64
	onRequest func(*Request)
	sender    func(net.Conn) string
	untold    map[int64]chan struct{} // connections whose sender is still being found, by number
}

type endpoint struct {
	id      string
	webhook *standardwebhooks.Webhook
	answer  Answer
}

type connKey struct{}

type connInfo struct {
	number int64
	at     time.Time
	told   chan struct{} // closed when node is known
	node   string
}

// NewReceiver starts a receiver on a free loopback port. onRequest, if not
// nil, is called for every request once it is noted and before it is answered.
func NewReceiver(onRequest func(*Request)) (*Receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	base, cancel := context.WithCancel(context.Background())
	r := &Receiver{
		url:       "http://" + l.Addr().String(),
		ended:     make(chan struct{}),
		closed:    cancel,
		endpoints: map[string]*endpoint{},
		seen:      map[[2]string]int{},
		untold:    map[int64]chan struct{}{},
		onRequest: onRequest,
	}
	r.server = &http.Server{
		Handler:           http.HandlerFunc(r.serve),
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       r.countConn,
	}
	go func() {
		defer close(r.ended)
		_ = r.server.Serve(l) // ends by Close
	}()
	return r, nil
}

// URL is where an endpoint with the given path is to be registered.
func (r *Receiver) URL(path string) string { return r.url + path }

// Serve says which endpoint a path stands for, its secret ("whsec_…"), and
// how it answers (nil: 200 at once).
func (r *Receiver) Serve(path, id, secret string, answer Answer) error {
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return fmt.Errorf("receiver: secret of %s: %w", id, err)
	}
	if answer == nil {
		answer = func(*Request, int) (int, time.Duration) { return http.StatusOK, 0 }
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endpoints[path] = &endpoint{id: id, webhook: w, answer: answer}
	return nil
}

// Requests returns copies of all that was seen, in order of arrival.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Request, len(r.requests))
	for i, q := range r.requests {
		all[i] = *q
	}
	return all
}

const barrierPath = "/-/barrier"

// Barrier returns when every connection that was made before the call has
// been accepted, and its sender is known: connections are accepted in the order in
// which they are made, and it makes one of its own.
func (r *Receiver) Barrier(ctx context.Context) error {
	in, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+barrierPath, nil)
	if err != nil {
		return fmt.Errorf("receiver: barrier: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	out, err := client.Do(in)
	if err != nil {
		return fmt.Errorf("receiver: barrier: %w", err)
	}
	for _, told := range r.telling() {
		select {
		case <-told:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("receiver: barrier: %w", ctx.Err()), out.Body.Close())
		}
	}
	return out.Body.Close()
}

// telling are the connections whose sender is still being found.
func (r *Receiver) telling() []chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.untold))
}

// Forget drops what was seen so far, for runs that check in rounds.
func (r *Receiver) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests, r.seen = nil, map[[2]string]int{}
}

// Close ends the receiver and all its connections.
func (r *Receiver) Close() error {
	r.closed()
	err := r.server.Close()
	<-r.ended
	return err
}

func (r *Receiver) countConn(ctx context.Context, c net.Conn) context.Context {
	info := &connInfo{at: time.Now(), told: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns++
	info.number = r.conns
	if sender := r.sender; sender == nil {
		close(info.told)
	} else {
		r.untold[info.number] = info.told
		go func() { // the next connection does not wait for that
			info.node = sender(c)
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.untold, info.number)
			close(info.told)
		}()
	}
	return context.WithValue(ctx, connKey{}, info)
}

// Sender has each connection's node told by who made it: sender is called with
// the connection when that is accepted. Requests on it wait for
// the answer.
func (r *Receiver) Sender(sender func(net.Conn) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sender = sender
}

func (r *Receiver) serve(w http.ResponseWriter, in *http.Request) {
	if in.URL.Path == barrierPath {
		return
	}
	conn, _ := in.Context().Value(connKey{}).(*connInfo)
	<-conn.told
	body, err := io.ReadAll(io.LimitReader(in.Body, 64<<20))
	q := &Request{Event: in.Header.Get("webhook-id"), SHA256: Sum(body), Header: in.Header, Conn: conn.number, ConnAt: conn.at, Node: conn.node}
	r.mu.Lock()
	e := r.endpoints[in.URL.Path]
	r.mu.Unlock()
	switch {
	case err != nil:
		return // cut off while sending: not a whole request
	case e == nil:
		q.Problem = "no endpoint has the path " + in.URL.Path
	default:
		q.Endpoint = e.id
		q.Problem = inspect(q, e, body)
	}
	n := r.note(q)
	if r.onRequest != nil {
		r.onRequest(q)
	}
	if e == nil {
		http.NotFound(w, in)
		return
	}
	r.reply(w, in, q, n, e.answer)
}

// inspect verifies a body, takes out what the checker needs, and says what is
// wrong with it.
func inspect(q *Request, e *endpoint, body []byte) string {
	var payload struct {
		Data json.RawMessage `json:"data"`
	}
	var data struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return "body: " + err.Error()
	}
	q.DataSHA256 = Sum(payload.Data)
	if err := json.Unmarshal(payload.Data, &data); err != nil {
		return "data: " + err.Error()
	}
	q.Key = strings.Clone(data.Key)
	if err := e.webhook.Verify(body, q.Header); err != nil {
		return "signature: " + err.Error()
	}
	return ""
}

func (r *Receiver) note(q *Request) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	q.Seq, q.At = r.last, time.Now()
	r.requests = append(r.requests, q)
	k := [2]string{q.Endpoint, q.Event}
	r.seen[k]++
	return r.seen[k]
}

// reply answers, and notes the status before it leaves: an answer that a dying
// server did not read counts as given.
func (r *Receiver) reply(w http.ResponseWriter, in *http.Request, q *Request, n int, answer Answer) {
	status, after := answer(q, n)
	if status == 0 {
		<-in.Context().Done()
		return
	}
	if after > 0 {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-in.Context().Done():
			return
		}
	}
	r.mu.Lock()
	q.Status = status
	r.mu.Unlock()
	w.WriteHeader(status)
}
