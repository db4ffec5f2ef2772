package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"grapnel/internal/ledger"
)

// producer publishes one round's events over several connections.
type producer struct {
	*world
	round  int
	book   *ledger.Producer
	number atomic.Int64
	failed atomic.Pointer[error] // what must not happen, whatever the server does
}

// The mix of what is published: one post in batchOneIn is a batch; one
// unanswered post in abandonOneIn is never repeated, so that its events stay
// unknown; the others are repeated under the same ids until they are answered.
const (
	batchOneIn   = 4
	batchSize    = 10
	abandonOneIn = 4
	repeatAfter  = 5 * time.Millisecond
)

// event is one event as it is published.
type event struct {
	tenant, id, eventType, data string
}

// body writes events as a request's body. encoding/json would rewrite the
// white space of data.
func body(events []event) []byte {
	items := make([]string, len(events))
	for i, e := range events {
		items[i] = fmt.Sprintf(`{"tenant":%q,"id":%q,"type":%q,"data":%s}`, e.tenant, e.id, e.eventType, e.data)
	}
	if len(items) == 1 {
		return fmt.Appendf(nil, `{"id":%q,"type":%q,"data":%s}`, events[0].id, events[0].eventType, events[0].data)
	}
	return []byte("[" + strings.Join(items, ",") + "]")
}

// run publishes until stop is closed and what was begun is answered, or ctx
// ends.
func (p *producer) run(ctx context.Context, seed uint64, stop <-chan struct{}) {
	var all sync.WaitGroup
	for i := range p.Connections {
		all.Go(func() { p.connection(ctx, rand.New(rand.NewPCG(seed, uint64(i)+1)), stop) })
	}
	all.Wait()
}

func (p *producer) connection(ctx context.Context, random *rand.Rand, stop <-chan struct{}) {
	perSecond := p.Rate / float64(p.Connections)
	next := time.Now()
	for ctx.Err() == nil && p.failed.Load() == nil {
		count := 1
		if random.IntN(batchOneIn) == 0 {
			count = batchSize
		}
		if !p.post(ctx, random, count) {
			return
		}
		next = next.Add(time.Duration(float64(count) / perSecond * float64(time.Second)))
		if wait := time.Until(next); wait <= 0 {
			next = time.Now() // it does not catch up after an outage
		} else if !sleep(ctx, stop, wait) {
			return
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// sleep waits; false means that stop or ctx came first.
func sleep(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	case <-ctx.Done():
		return false
	}
}

// post publishes one or several events. It returns false when the round
// cannot go on.
func (p *producer) post(ctx context.Context, random *rand.Rand, count int) bool {
	events, path, err := p.begin(random, count)
	text := body(events)
	abandon := random.IntN(abandonOneIn) == 0
	for err == nil {
		var again bool
		if again, err = p.try(ctx, path, text, events); err != nil || !again || abandon {
			break
		}
		if !sleep(ctx, nil, repeatAfter) {
			return false
		}
	}
	if err != nil {
		p.failed.CompareAndSwap(nil, &err)
		return false
	}
	return true
}

// begin makes events and notes them in the ledger.
func (p *producer) begin(random *rand.Rand, count int) (events []event, path string, err error) {
	tenant := tenants[random.IntN(len(tenants))]
	path = "/v1/tenants/" + tenant + "/events"
	if count > 1 {
		path = "/v1/events"
	}
	for range count {
		eventType := []string{typeFast, typeFast, typeFast, typeFast, typeSlow, typeFlaky}[random.IntN(6)]
		key := fmt.Sprintf("r%d-%d", p.round, p.number.Add(1))
		// White space and digits of no canonical form: the bytes must arrive as
		// they are.
		data := fmt.Sprintf(`{ "key":%q, "pad":"%0*x", "n":1.50 }`, key, 1+random.IntN(300), random.Uint64())
		events = append(events, event{tenant, key, eventType, data})
		err = errors.Join(err, p.book.Begin(ledger.Publish{
			Key: key, Tenant: tenant, DataSHA256: ledger.Sum([]byte(data)), To: p.routes[[2]string{tenant, eventType}], At: time.Now(),
		}))
	}
	return events, path, err
}

// try sends once. again means that the outcome is unknown and the same may be
// sent again.
func (p *producer) try(ctx context.Context, path string, text []byte, events []event) (again bool, err error) {
	status, answer, err := p.send(ctx, http.MethodPost, path, text)
	if err != nil || status >= 500 || status == http.StatusTooManyRequests || status == http.StatusConflict {
		return true, nil // no answer, or "come again": nothing is known
	}
	now := time.Now()
	if status != http.StatusAccepted {
		for _, e := range events {
			err = errors.Join(err, p.book.Refuse(e.id, now))
		}
		return false, errors.Join(err, fmt.Errorf("crash: a publish was refused: %d: %.300s", status, answer))
	}
	ids, err := eventIDs(answer, len(events))
	if err != nil {
		return false, err
	}
	for i, e := range events {
		err = errors.Join(err, p.book.Ack(e.id, ids[i], now))
	}
	return false, err
}

// eventIDs reads the ids out of an answer to one event or to a batch: an
// object with id, or an array of such, or an object with results or data.
func eventIDs(answer []byte, count int) ([]string, error) {
	type result struct{ ID string }
	var one struct {
		result
		Results, Data []result
	}
	var many []result
	if err := json.Unmarshal(answer, &one); err == nil {
		many = append(one.Results, one.Data...)
		if count == 1 && one.ID != "" {
			many = []result{one.result}
		}
	} else if err := json.Unmarshal(answer, &many); err != nil {
		return nil, fmt.Errorf("crash: answer to a publish: %w: %.200s", err, answer)
	}
	ids := make([]string, 0, count)
	for _, r := range many {
		if r.ID != "" {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) != count {
		return nil, fmt.Errorf("crash: %d events were published and %d ids came back: %.300s", count, len(ids), answer)
	}
	return ids, nil
}
