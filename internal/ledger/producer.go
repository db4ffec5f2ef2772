package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// PublishState is what the producer knows of one event.
type PublishState string

// The states of a publish.
const (
	Unknown      PublishState = "unknown" // sent, not answered: it may exist or not
	Acknowledged PublishState = "acked"   // answered with 2xx: it must not be lost
	Refused      PublishState = "refused" // answered with 4xx: it must not exist
)

// Publish is one event as its producer knows it. The event's data must be a
// JSON object with a member "key" that equals Key, so that a request at a
// receiver can be traced to it even if the publish was never answered.
type Publish struct {
	Key        string       `json:"key"` // the caller's own id, unique in a run
	Tenant     string       `json:"tenant"`
	DataSHA256 string       `json:"data_sha256"` // hex, of the exact bytes of data
	To         []string     `json:"to"`          // ids of the endpoints that match it
	At         time.Time    `json:"at"`          // when it was first sent
	State      PublishState `json:"-"`
	ID         string       `json:"-"` // the event's id, once acknowledged
}

// Producer keeps what a producer sent and was promised, in an append-only
// file. It belongs into another process than the server.
type Producer struct {
	mu      sync.Mutex
	done    sync.Cond // a sync ended
	file    *os.File
	book    map[string]*Publish
	order   []string
	written int64 // records
	synced  int64 // records that are on disk
	syncing bool
	err     error // the first failure; the book is useless from then on
}

type record struct {
	Op string    `json:"op"` // begin, ack, refuse
	At time.Time `json:"at"`
	*Publish
	Key   string `json:"key,omitempty"` // shadows Publish's in ack and refuse
	Event string `json:"event,omitempty"`
}

// CreateProducer makes a new book; the file must not exist.
func CreateProducer(path string) (*Producer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("producer ledger: %w", err)
	}
	p := &Producer{file: f, book: map[string]*Publish{}}
	p.done.L = &p.mu
	return p, nil
}

// Begin notes that an event is about to be sent. It must return before the
// first byte leaves. Repeating a key is not an error: it is a retry.
func (p *Producer) Begin(e Publish) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, again := p.book[e.Key]; again {
		return p.err
	}
	e.State = Unknown
	p.book[e.Key] = &e
	p.order = append(p.order, e.Key)
	return p.append(record{Op: "begin", At: e.At, Publish: &e, Key: e.Key})
}

// Ack notes that a publish was answered with 2xx and the event's id. It
// returns when the note is on disk; concurrent calls share one fsync. A second
// answer with another id is an error: one key must lead to one event (case 5).
func (p *Producer) Ack(key, event string, at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.book[key]
	if e == nil {
		return fmt.Errorf("producer ledger: %q was acknowledged but never begun", key)
	}
	if e.State == Acknowledged && e.ID != event {
		return fmt.Errorf("producer ledger: %q was answered with event %s, and before with %s", key, event, e.ID)
	}
	if err := p.append(record{Op: "ack", At: at, Key: key, Event: event}); err != nil {
		return err
	}
	e.State, e.ID = Acknowledged, event
	return p.sync(p.written)
}

// Refuse notes that a publish was answered with 4xx.
func (p *Producer) Refuse(key string, at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.book[key]; e != nil && e.State == Unknown {
		e.State = Refused
	}
	return p.append(record{Op: "refuse", At: at, Key: key})
}

// append writes one record. The caller holds mu.
func (p *Producer) append(r record) error {
	if p.err != nil {
		return p.err
	}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = p.file.Write(append(line, '\n'))
	}
	if err != nil {
		p.err = fmt.Errorf("producer ledger: %w", err)
		return p.err
	}
	p.written++
	return nil
}

// sync waits until the first n records are on disk. The caller holds mu.
func (p *Producer) sync(n int64) error {
	for p.synced < n && p.err == nil {
		if p.syncing {
			p.done.Wait()
			continue
		}
		p.syncing = true
		upTo := p.written
		p.mu.Unlock()
		err := p.file.Sync()
		p.mu.Lock()
		p.syncing = false
		if err != nil {
			p.err = fmt.Errorf("producer ledger: %w", err)
		} else {
			p.synced = upTo
		}
		p.done.Broadcast()
	}
	return p.err
}

// Publishes returns the book, in the order of Begin.
func (p *Producer) Publishes() []Publish {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Publish, len(p.order))
	for i, key := range p.order {
		all[i] = *p.book[key]
	}
	return all
}

// Close syncs and closes the file.
func (p *Producer) Close() error {
	p.mu.Lock()
	err := p.sync(p.written)
	p.mu.Unlock()
	return errors.Join(err, p.file.Close())
}

// ReadProducer reads a book from its file. A last line that is cut off, as a
// killed producer leaves it, is dropped.
func ReadProducer(path string) ([]Publish, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("producer ledger: %w", err)
	}
	var all []Publish
	index := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1]))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		i, known := index[r.Key]
		switch {
		case r.Op == "begin" && r.Publish != nil:
			r.Publish.Key, r.Publish.State, r.Publish.At = r.Key, Unknown, r.At
			index[r.Key] = len(all)
			all = append(all, *r.Publish)
		case r.Op == "ack" && known:
			all[i].State, all[i].ID = Acknowledged, r.Event
		case r.Op == "refuse" && known && all[i].State == Unknown:
			all[i].State = Refused
		case r.Op != "refuse" || !known:
			return nil, fmt.Errorf("%s:%d: %q of %q makes no sense here", path, n, r.Op, r.Key)
		}
	}
	return all, lines.Err()
}

// Sum is the hex SHA-256 of b, as all books write it.
func Sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
