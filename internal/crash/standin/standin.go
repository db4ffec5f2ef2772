package standin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Flaw is something that the stand-in does wrong.
type Flaw string

// The flaws.
const (
	None   Flaw = ""
	Lose   Flaw = "lose"   // answers 202 before the event is on disk
	Forget Flaw = "forget" // does not take up at a start what was not delivered
	Twice  Flaw = "twice"  // sends again at a start what was delivered
	Alter  Flaw = "alter"  // a retry has other bytes
	Slow   Flaw = "slow"   // takes SlowStart to start
)

// SlowStart is how long a start of the Slow stand-in takes.
const SlowStart = 500 * time.Millisecond

const (
	retryWait = 50 * time.Millisecond
	inFlight  = 64 // attempts at once
	sendLimit = 10 * time.Second
)

type endpoint struct {
	entry
	signer *standardwebhooks.Webhook
}

type delivery struct {
	event    *entry
	endpoint *endpoint
	attempts []*entry
	done     bool
}

type server struct {
	flaw    Flaw
	journal *journal
	client  *http.Client
	slots   chan struct{}
	stopped context.Context // no attempt begins any more
	sending sync.WaitGroup

	mu         sync.Mutex
	endpoints  []*endpoint
	byKey      map[string]*entry // events, by tenant and key
	deliveries []*delivery
	byID       map[string]*delivery
}

// Main runs the stand-in until SIGTERM: arguments are --data DIR and --listen
// ADDR, as for grapnel serve, whose other flags it takes and ignores.
func Main(args []string, flaw Flaw) error {
	flags := flag.NewFlagSet("standin", flag.ContinueOnError)
	data := flags.String("data", "", "folder")
	listen := flags.String("listen", "", "address")
	flags.String("egress-allow", "", "ignored")
	if err := flags.Parse(args); err != nil {
		return err
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := &server{
		flaw: flaw, stopped: stopped, slots: make(chan struct{}, inFlight),
		client: &http.Client{Timeout: sendLimit, Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}},
		byKey:  map[string]*entry{}, byID: map[string]*delivery{},
	}
	var err error
	if s.journal, err = openJournal(*data, s.replay); err != nil {
		return err
	}
	if flaw == Slow {
		time.Sleep(SlowStart)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: s.routes(), ReadHeaderTimeout: time.Minute}
	s.resume()                       // before anything new comes, which would be sent by it as well
	go func() { _ = web.Serve(l) }() // ends with Shutdown
	<-stopped.Done()
	err = web.Shutdown(context.Background())
	s.sending.Wait()
	return err
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /v1/tenants/{tenant}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /v1/tenants/{tenant}/endpoints", s.addEndpoint)
	mux.HandleFunc("POST /v1/tenants/{tenant}/events", s.publishOne)
	mux.HandleFunc("POST /v1/events", s.publishMany)
	mux.HandleFunc("GET /v1/tenants/{tenant}/deliveries", s.list)
	mux.HandleFunc("GET /v1/tenants/{tenant}/deliveries/{delivery}", s.show)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopped.Err() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// replay takes up one line of the journal. Only the start calls it.
func (s *server) replay(e *entry) {
	switch e.Kind {
	case "endpoint":
		s.addressed(e)
	case "event":
		s.accepted(e)
	case "attempt":
		d := s.byID[e.ID]
		d.attempts = append(d.attempts, e)
		d.done = d.done || e.Status/100 == 2
	}
}

func (s *server) addressed(e *entry) {
	signer, err := standardwebhooks.NewWebhook(e.Secret)
	if err != nil {
		fmt.Fprintln(os.Stderr, "secret of its own making:", err)
		os.Exit(1)
	}
	s.endpoints = append(s.endpoints, &endpoint{*e, signer})
}

// accepted adds an event's deliveries. The caller holds mu, or is the start.
func (s *server) accepted(e *entry) (added []*delivery) {
	s.byKey[e.Tenant+"/"+e.Key] = e
	for _, p := range s.endpoints {
		if p.Tenant != e.Tenant || len(p.Types) > 0 && !slices.Contains(p.Types, e.Type) {
			continue
		}
		d := &delivery{event: e, endpoint: p}
		s.byID[d.id()] = d
		s.deliveries = append(s.deliveries, d)
		added = append(added, d)
	}
	return added
}

func (d *delivery) id() string { return "dlv_" + d.event.ID + "_" + d.endpoint.ID }

// resume sends at a start what is not delivered.
func (s *server) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, d := range s.deliveries {
		if again := s.flaw == Twice && i%100 == 0; d.done && !again {
			continue
		}
		if s.flaw == Forget && i%2 == 0 {
			continue
		}
		s.sending.Go(func() { s.send(d) })
	}
}

func (s *server) addEndpoint(w http.ResponseWriter, r *http.Request) {
	var in struct {
		URL   string   `json:"url"`
		Types []string `json:"event_types"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	e := &entry{Kind: "endpoint", Tenant: r.PathValue("tenant"), URL: in.URL, Types: in.Types, Secret: "whsec_" + base64.StdEncoding.EncodeToString(secret)}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ID = "ep_" + strconv.Itoa(len(s.endpoints)+1)
	if err := s.journal.write(e); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	s.addressed(e)
	answer(w, http.StatusCreated, map[string]string{"id": e.ID, "secret": e.Secret})
}

type item struct {
	Tenant string          `json:"tenant"`
	ID     string          `json:"id"`
	Type   string          `json:"type"`
	Data   json.RawMessage `json:"data"`
}

func (s *server) publishOne(w http.ResponseWriter, r *http.Request) {
	var in item
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	in.Tenant = r.PathValue("tenant")
	ids, err := s.publish([]item{in})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer(w, http.StatusAccepted, map[string]string{"id": ids[0]})
}

func (s *server) publishMany(w http.ResponseWriter, r *http.Request) {
	var in []item
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ids, err := s.publish(in)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	results := make([]map[string]any, len(ids))
	for i, id := range ids {
		results[i] = map[string]any{"id": id, "status": http.StatusAccepted}
	}
	answer(w, http.StatusAccepted, map[string]any{"results": results})
}

// publish stores events, each once for its key, and starts their deliveries.
func (s *server) publish(items []item) ([]string, error) {
	ids := make([]string, len(items))
	var fresh []*entry
	s.mu.Lock()
	for i, in := range items {
		if old := s.byKey[in.Tenant+"/"+in.ID]; in.ID != "" && old != nil {
			ids[i] = old.ID
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		e := &entry{Kind: "event", ID: id.String(), Tenant: in.Tenant, Key: in.ID, Type: in.Type, Data: in.Data, At: time.Now()}
		s.byKey[e.Tenant+"/"+e.Key] = e
		ids[i], fresh = e.ID, append(fresh, e)
	}
	s.mu.Unlock()
	if s.flaw == Lose {
		s.sending.Go(func() {
			time.Sleep(100 * time.Millisecond)
			_ = s.commit(fresh) // nobody waits for it: that is the flaw
		})
		return ids, nil
	}
	return ids, s.commit(fresh)
}

func (s *server) commit(fresh []*entry) error {
	if err := s.journal.write(fresh...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range fresh {
		for _, d := range s.accepted(e) {
			s.sending.Go(func() { s.send(d) })
		}
	}
	return nil
}

// send makes attempts until one succeeds or the server stops.
func (s *server) send(d *delivery) {
	for {
		select {
		case s.slots <- struct{}{}:
		case <-s.stopped.Done():
			return
		}
		ok := s.stopped.Err() == nil && s.attempt(d)
		<-s.slots
		if ok || s.stopped.Err() != nil {
			return
		}
		select {
		case <-time.After(retryWait):
		case <-s.stopped.Done():
			return
		}
	}
}

func (s *server) attempt(d *delivery) (ok bool) {
	extra := ""
	if s.flaw == Alter && len(d.attempts) > 0 {
		extra = " "
	}
	body := fmt.Appendf(nil, `{"type":%q,"timestamp":"2026-11-01T12:00:00Z","data":%s%s}`, d.event.Type, d.event.Data, extra)
	sum := sha256.Sum256(body)
	e := &entry{Kind: "attempt", ID: d.id(), SHA256: hex.EncodeToString(sum[:])}
	e.Status, _ = s.post(d, body) // no answer is status 0, and tried again
	if err := s.journal.write(e); err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.attempts = append(d.attempts, e)
	d.done = d.done || e.Status/100 == 2
	return e.Status/100 == 2
}

func (s *server) post(d *delivery, body []byte) (status int, err error) {
	now := time.Now()
	signature, err := d.endpoint.signer.Sign(d.event.ID, now, body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequest(http.MethodPost, d.endpoint.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.GetBody = nil // no hidden second send
	req.Header.Set("webhook-id", d.event.ID)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the asker has gone otherwise
}
