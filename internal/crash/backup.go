package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"grapnel/internal/child"
	"grapnel/internal/ledger"
)

// BackupReport is what a backup under load, and its restoring, showed.
type BackupReport struct {
	Seed       uint64
	Bytes      int64         // of the backup
	Took       time.Duration // to make it
	Seals      int           // of segments while it was made
	Before     int           // events acknowledged before it was begun
	During     int           // and while it was made
	After      int           // and from then until the server was killed
	Recorded   int           // deliveries that were recorded as made before it was begun
	Restored   int           // deliveries in the restored store
	Lost       int           // events from before that the restored store lacks, or did not deliver
	Resent     int           // of Recorded, those that the restored server sent again
	Repeated   int           // other deliveries that were made before and again: their outcome came after the mark
	Delivered  int           // by the restored server for the first time
	Findings   []ledger.Finding
	P99, P99In time.Duration // of publishes before the backup, and while it was made
}

// String is the report in one line.
func (r *BackupReport) String() string {
	return fmt.Sprintf("backup under load, seed %d: %d bytes in %s with %d seals meanwhile; acknowledged %d before, %d during, %d after it; %d deliveries recorded before it; restored: %d deliveries, %d lost, %d of the recorded sent again, %d of the later ones sent again, %d sent for the first time, %d findings; publish p99 %s before, %s during",
		r.Seed, r.Bytes, round(r.Took), r.Seals, r.Before, r.During, r.After, r.Recorded, r.Restored, r.Lost, r.Resent, r.Repeated, r.Delivered, len(r.Findings), round(r.P99), round(r.P99In))
}

// Backup publishes to a server, takes a backup of it in the middle, kills it
// later, restores the backup into another folder, starts a server on that at
// another address, and holds the ledgers against each other (case 15).
//
// What counts as before the mark is what was known before the backup was asked
// for: the events whose publish was answered by then, and the deliveries that
// the store listed as delivered by then. Of the former each must be delivered by
// the first server or the restored one; of the latter none may be sent by the
// restored one: the receiver has seen no request for it on a connection that was
// made after the kill.
func Backup(ctx context.Context, o Options) (*BackupReport, error) {
	o.Kind = Kill
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	w, err := newWorld(ctx, o, filepath.Join(o.Dir, "data"))
	if err != nil {
		return nil, err
	}
	defer w.close()
	b := &backup{world: w, report: &BackupReport{Seed: o.Seed}, random: rand.New(rand.NewPCG(o.Seed, 15))}
	b.times.transport.MaxIdleConnsPerHost = o.Connections + 1
	w.client.Transport = &b.times
	if err := b.first(ctx); err != nil {
		return b.report, fmt.Errorf("crash: backup: %w", err)
	}
	if err := b.second(ctx); err != nil {
		return b.report, fmt.Errorf("crash: restored: %w", err)
	}
	return b.report, nil
}

// backup is one run of Backup.
type backup struct {
	*world
	report   *BackupReport
	random   *rand.Rand
	times    publishTimes
	book     *ledger.Producer
	before   []ledger.Publish  // acknowledged before the backup
	recorded map[[2]string]int // attempts of deliveries that were recorded as made before it
}

func (b *backup) file() string { return filepath.Join(b.Dir, "backup.tar") }

// first is the life of the first server.
func (b *backup) first(ctx context.Context) (err error) {
	if b.book, err = ledger.CreateProducer(filepath.Join(b.Dir, "producer-backup.ndjson")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.book.Close()) }()
	p := &producer{world: b.world, book: b.book}
	stop, stopped := make(chan struct{}), make(chan struct{})
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	seed := b.random.Uint64()
	go func() { defer close(stopped); p.run(loading, seed, stop) }()
	err = b.load(ctx)
	// Killed under load: what is on its way stays unanswered.
	b.server.Kill()
	close(stop)
	cancel()
	<-stopped
	if failed := p.failed.Load(); failed != nil && err == nil {
		err = *failed
	}
	if err != nil {
		return err
	}
	b.report.After = len(acknowledged(b.book.Publishes())) - b.report.Before - b.report.During
	b.faults = append(b.faults, ledger.Fault{At: time.Now(), Kind: "kill"})
	// Then whatever comes on a connection that is made later is the restored
	// server's, and what comes on another is not, however late it is read.
	return b.receiver.Barrier(ctx)
}

// load lets the load go on for a while, takes the backup, and lets it go on.
func (b *backup) load(ctx context.Context) error {
	span := func() time.Duration {
		return b.MinLoad + time.Duration(b.random.Int64N(int64(b.MaxLoad-b.MinLoad)+1))
	}
	if !sleep(ctx, nil, span()) {
		return ctx.Err()
	}
	api := &ledger.API{Base: "http://" + b.addr, Key: b.key, Client: b.client}
	listed, err := api.Dump(ctx, tenants, time.Time{}, nil)
	if err != nil {
		return err
	}
	b.recorded = map[[2]string]int{}
	for _, d := range listed {
		if d.State == "delivered" {
			b.recorded[[2]string{d.Event, d.Endpoint}] = d.Attempts
		}
	}
	b.before = acknowledged(b.book.Publishes())
	b.report.Before, b.report.Recorded = len(b.before), len(b.recorded)
	b.report.P99 = b.times.p99()
	if err := b.take(ctx); err != nil {
		return err
	}
	b.report.P99In = b.times.p99()
	b.report.During = len(acknowledged(b.book.Publishes())) - b.report.Before
	if !sleep(ctx, nil, span()) {
		return ctx.Err()
	}
	return nil
}

// take takes the backup over HTTP.
func (b *backup) take(ctx context.Context) error {
	sealed := b.sealed()
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.addr+"/v1/backup", http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.key)
	resp, err := slowClient().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it has been read by then
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("POST /v1/backup: %s: %s", resp.Status, text)
	}
	f, err := os.OpenFile(b.file(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if b.report.Bytes, err = io.CopyN(f, resp.Body, firstPart); err == nil {
		// The server waits with the rest until it is read: meanwhile it goes on.
		for limit := time.Now().Add(sealWait); b.sealed() < sealed+wantSeals && time.Now().Before(limit) && sleep(ctx, nil, settlePoll); {
		}
		var n int64
		n, err = io.Copy(f, resp.Body)
		b.report.Bytes += n
	}
	b.report.Took = time.Since(began)
	b.report.Seals = b.sealed() - sealed
	return errors.Join(err, f.Close())
}

const (
	// firstPart is how much of a backup is read before it is left to wait.
	firstPart = 64 << 10
	// wantSeals is how many seals are to fall into a backup.
	wantSeals = 3
	// sealWait is how long they are waited for.
	sealWait = 10 * time.Second
)

// slowClient makes connections that hold little of what is not read yet.
func slowClient() *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(firstPart)
		}
		return conn, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// sealed counts the segments that the server has sealed, by its log.
func (b *backup) sealed() int {
	text, err := os.ReadFile(b.log.Name())
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte(`"segment sealed"`))
}

// second restores the backup, starts a server on it and checks.
func (b *backup) second(ctx context.Context) error {
	b.data = filepath.Join(b.Dir, "restored")
	for _, args := range [][]string{{"db", "restore", b.file(), "--data", b.data}, {"db", "check", b.data}} {
		cmd := exec.CommandContext(ctx, b.Command[0], args...)
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("grapnel %s: %w: %s", strings.Join(args, " "), err, text)
		}
	}
	var err error
	if b.addr, err = child.FreeAddr(); err != nil {
		return err
	}
	if err := b.start(ctx, nil); err != nil {
		return err
	}
	api := &ledger.API{Base: "http://" + b.addr, Key: b.key, Client: b.client}
	record := &ledger.Record{Faults: b.faults, Window: b.Window, Grace: grace}
	for limit := time.Now().Add(b.Settle); ; {
		record.DumpedAt = time.Now()
		if record.Deliveries, err = api.Dump(ctx, tenants, time.Time{}, nil); err != nil {
			return err
		}
		if recorded(record) || time.Now().After(limit) || !sleep(ctx, nil, settlePoll) {
			break
		}
	}
	record.Requests = b.receiver.Requests()
	b.compare(record)
	return ctx.Err()
}

// compare holds the restored store against what was known before the mark.
func (b *backup) compare(r *ledger.Record) {
	add := func(invariant string, p [2]string, format string, args ...any) {
		b.report.Findings = append(b.report.Findings, ledger.Finding{Invariant: invariant, Subject: p[0] + " at " + p[1], Detail: fmt.Sprintf(format, args...)})
	}
	stored := map[[2]string]*ledger.Delivery{}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		stored[[2]string{d.Event, d.Endpoint}] = d
	}
	b.report.Restored = len(stored)
	var made, again map[[2]string]int // successes of the first server, and requests of the restored one
	made, again = map[[2]string]int{}, map[[2]string]int{}
	for i := range r.Requests {
		q := &r.Requests[i]
		k := [2]string{q.Event, q.Endpoint}
		if q.Problem != "" {
			add("I9", k, "request %d: %s", q.Seq, q.Problem)
		}
		switch {
		case q.ConnAt.After(b.since):
			again[k]++
		case q.OK():
			made[k]++
		}
	}
	for _, p := range b.before {
		for _, endpoint := range p.To {
			k := [2]string{p.ID, endpoint}
			switch d := stored[k]; {
			case d == nil:
				b.report.Lost++
				add("I1", k, "was acknowledged before the mark, but the restored store has no delivery")
			case d.State != "delivered" || made[k]+again[k] == 0:
				b.report.Lost++
				add("I1", k, "was acknowledged before the mark, and is %s with %d requests", d.State, made[k]+again[k])
			}
		}
	}
	for k, attempts := range b.recorded {
		if again[k] > 0 {
			b.report.Resent++
			add("I5", k, "was recorded as delivered before the mark, and sent %d times by the restored server", again[k])
		}
		if d := stored[k]; d != nil && d.Attempts != attempts {
			add("I4", k, "had %d attempts before the mark, and has %d in the restored store", attempts, d.Attempts)
		}
	}
	for k := range again {
		switch _, known := b.recorded[k]; {
		case known:
		case made[k] > 0:
			b.report.Repeated++
		default:
			b.report.Delivered++
		}
	}
}

// acknowledged picks the publishes that were answered with success.
func acknowledged(all []ledger.Publish) (out []ledger.Publish) {
	for _, p := range all {
		if p.State == ledger.Acknowledged {
			out = append(out, p)
		}
	}
	return out
}

// publishTimes measures how long publishes take.
type publishTimes struct {
	transport http.Transport
	mu        sync.Mutex
	took      []time.Duration
}

// RoundTrip makes a request and notes how long it took until its answer began.
func (t *publishTimes) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := t.transport.RoundTrip(req)
	if err == nil && req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/events") {
		t.mu.Lock()
		t.took = append(t.took, time.Since(began))
		t.mu.Unlock()
	}
	return resp, err
}

// p99 is the 99th percentile since the last call.
func (t *publishTimes) p99() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := quantile(t.took, 0.99)
	t.took = nil
	return p
}

// CloseIdleConnections is for http.Client.
func (t *publishTimes) CloseIdleConnections() { t.transport.CloseIdleConnections() }
