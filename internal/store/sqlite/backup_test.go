package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// load appends events to a store, records what became of most of them, cuts
// segments, checkpoints and configures, until it is told to stop. It knows what
// was acknowledged.
type load struct {
	*testing.T
	st    *sqlite.Store
	lease store.Lease
	seq   int64
	now   time.Time

	mu       sync.Mutex
	events   []hook.EventID
	recorded []hook.DeliveryKey
	revision int64
}

func newLoad(t *testing.T, st *sqlite.Store) *load {
	l := &load{T: t, st: st, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var err error
	if l.lease, err = st.Acquire(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	if l.revision, err = st.Configure(t.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "t"}}, Endpoints: []*hook.Endpoint{{ID: "ep_1", TenantNum: 1}, {ID: "ep_2", TenantNum: 1}}}); err != nil {
		t.Fatal(err)
	}
	return l
}

// step appends one batch and records the outcomes of all but one delivery in
// five; the floor of progress follows.
func (l *load) step(ctx context.Context) error {
	b := &store.Batch{Revision: l.revision}
	for range 5 {
		l.now = l.now.Add(time.Second)
		e := &hook.Event{ID: hook.NextEventID(l.seq, l.now, uint64(l.seq)), Tenant: 1, Type: "a", Data: bytes.Repeat([]byte("x"), 300), Targets: []hook.Target{{Endpoint: 1}, {Endpoint: 2}}}
		l.seq = e.ID.Seq()
		b.Events = append(b.Events, e)
	}
	if err := l.st.Append(ctx, b); err != nil {
		return err
	}
	l.mu.Lock()
	for _, e := range b.Events {
		l.events = append(l.events, e.ID)
	}
	floor := b.Events[0].ID
	l.mu.Unlock()
	var outs []*store.Outcome
	for i, e := range b.Events {
		for _, t := range e.Targets {
			k := hook.DeliveryKey{Event: e.ID, Endpoint: t.Endpoint}
			o := &store.Outcome{Key: k, At: l.now, State: hook.Delivered, Attempt: &hook.Attempt{Key: k, N: 1, At: l.now, State: hook.Delivered, Status: 200}}
			if i == 0 && t.Endpoint == 2 {
				o.State, o.NextAt, o.Attempt.State, o.Body = hook.Pending, l.now.Add(time.Hour), hook.Pending, []byte("again")
			}
			if i > 0 || t.Endpoint == 2 {
				outs = append(outs, o)
			}
		}
	}
	if err := l.st.Record(ctx, l.lease, outs); err != nil {
		return err
	}
	l.mu.Lock()
	for _, o := range outs {
		l.recorded = append(l.recorded, o.Key)
	}
	l.mu.Unlock()
	return l.st.Checkpoint(ctx, l.lease, store.Progress{Floor: floor, Behind: []store.LaneMark{{Endpoint: 1, From: l.events[0]}}})
}

// known is what was acknowledged so far.
func (l *load) known() (events []hook.EventID, recorded []hook.DeliveryKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[:len(l.events):len(l.events)], l.recorded[:len(l.recorded):len(l.recorded)]
}

// run steps until stop is closed.
func (l *load) run(ctx context.Context, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := l.step(ctx); err != nil {
			return err
		}
	}
}

func restored(t *testing.T, backup []byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := sqlite.Restore(t.Context(), bytes.NewReader(backup), sqlite.RestoreOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.Check(t.Context(), dir, nil)
	if err != nil || len(r.Findings) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	return dir
}

// meter lets a backup go on little by little, and a test look in between.
type meter struct {
	bytes.Buffer
	n    int
	look func(n int)
}

func (m *meter) Write(p []byte) (int, error) {
	m.n++
	m.look(m.n)
	return m.Buffer.Write(p)
}

// case 15: a backup that is made while events come in, segments are cut and
// sealed and the configuration changes holds all that was acknowledged before
// it was begun, and knows of every outcome that was recorded before.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), SegmentEvents: 40})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	l := newLoad(t, st)
	for range 40 {
		if err := l.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stop, done, at := make(chan struct{}), make(chan error, 1), l.now
	go func() { done <- l.run(t.Context(), stop) }()
	events, recorded := l.known()
	out := &meter{look: func(int) {}}
	out.look = func(n int) { // wait for more events between any two pieces, so that the store moves on
		if n%8 == 0 {
			before, _ := l.known()
			for now := before; len(now) < len(before)+45; now, _ = l.known() {
				if t.Context().Err() != nil {
					return
				}
			}
		}
	}
	info, err := st.Backup(t.Context(), out, store.BackupQuery{At: at, Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if string(info.Mark[:]) < string(events[len(events)-1][:]) || info.WithKey {
		t.Fatalf("%+v, the last event was %v", info, events[len(events)-1])
	}
	all, _ := l.known()
	t.Logf("%d events before, %d at the end, %d files", len(events), len(all), info.Files)
	l.compare(restored(t, out.Bytes()), events, recorded)
}

// compare opens a restored folder and holds it against what was known.
func (l *load) compare(dir string, events []hook.EventID, recorded []hook.DeliveryKey) {
	l.Helper()
	st, err := sqlite.Open(l.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		l.Fatal(err)
	}
	defer st.Close()
	for _, id := range events {
		if _, err := st.Event(l.Context(), 1, id); err != nil {
			l.Fatalf("an event from before the mark: %v", err)
		}
	}
	sent := map[hook.DeliveryKey]bool{}
	lanes, err := st.Lanes(l.Context(), func() store.Lease { a, _ := st.Acquire(l.Context(), "n"); return a }())
	if err != nil {
		l.Fatal(err)
	}
	for _, lane := range lanes {
		for from := lane.Fresh; !from.IsZero(); {
			p, err := st.Fresh(l.Context(), store.FreshQuery{Endpoint: lane.Endpoint, From: from, Limit: 1000})
			if err != nil {
				l.Fatal(err)
			}
			for _, w := range p.Work {
				sent[w.Key()] = true
			}
			from = p.Next
		}
	}
	for _, k := range recorded {
		if sent[k] {
			l.Fatalf("%s would be sent again as if it never had been", k)
		}
		if a, err := st.Attempts(l.Context(), hook.AllTenants, k); err != nil || len(a) != 1 {
			l.Fatalf("%s has %d attempts, %v", k, len(a), err)
		}
	}
	// What was not recorded is found by its lane.
	known := map[hook.DeliveryKey]bool{}
	for _, k := range recorded {
		known[k] = true
	}
	for _, id := range events {
		if k := (hook.DeliveryKey{Event: id, Endpoint: 1}); !known[k] && !sent[k] {
			if a, _ := st.Attempts(l.Context(), hook.AllTenants, k); len(a) == 0 {
				l.Fatalf("%s is neither recorded nor to be sent", k)
			}
		}
	}
}

// small makes a small backup.
func small(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, SegmentEvents: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	l := newLoad(t, st)
	for range 5 {
		if err := l.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	key := filepath.Join(dir, "secret.key")
	if err := os.WriteFile(key, []byte("the key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, sqlite.DialectFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"own.yaml", ".own.yaml.swp", "README", "a b.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, sqlite.DialectFolder, name), []byte("name: "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	info, err := st.Backup(t.Context(), &out, store.BackupQuery{At: l.now, Program: "test", KeyFile: key})
	if err != nil || !info.WithKey {
		t.Fatal(info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "backup.tmp")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the copies are still there: %v", err)
	}
	return out.Bytes()
}

// The operator's dialects go with a backup, and nothing else of their folder.
func TestBackupsHoldDialects(t *testing.T) {
	t.Parallel()
	dir := restored(t, small(t))
	entries, err := os.ReadDir(filepath.Join(dir, sqlite.DialectFolder))
	if err != nil || len(entries) != 1 || entries[0].Name() != "own.yaml" {
		t.Fatalf("%v, %v", entries, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, sqlite.DialectFolder, "own.yaml")); string(text) != "name: own.yaml" {
		t.Errorf("%q, %v", text, err)
	}
}

// A backup that was cut short, wherever, is refused, and leaves nothing.
func TestCutBackupsAreRefused(t *testing.T) {
	t.Parallel()
	whole := small(t)
	for _, n := range []int{0, 1, 511, 512, 1024, len(whole) / 2, len(whole) - 5000, len(whole) - 1800} {
		dir := filepath.Join(t.TempDir(), "d")
		_, err := sqlite.Restore(t.Context(), bytes.NewReader(whole[:n]), sqlite.RestoreOptions{Dir: dir})
		if err == nil {
			t.Fatalf("%d of %d bytes were taken for a backup", n, len(whole))
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Fatalf("%v was left", entries)
		}
	}
}

// case 16: a flipped bit in a backup is found, and nothing of it is restored.
func TestFlippedBitsInABackupAreFound(t *testing.T) {
	t.Parallel()
	whole := small(t)
	original, err := sqlite.Verify(t.Context(), bytes.NewReader(whole), nil)
	if err != nil {
		t.Fatal(err)
	}
	harmless := 0
	for seed := range uint64(1000) {
		random := rand.New(rand.NewPCG(seed, 16))
		flipped := bytes.Clone(whole)
		flipped[random.IntN(len(flipped))] ^= 1 << random.IntN(8)
		m, err := sqlite.Verify(t.Context(), bytes.NewReader(flipped), nil)
		if err == nil { // in what tar itself does not read: padding, times, or a text of the manifest that promises nothing
			harmless++
			diff(t, original.Files, m.Files)
		}
	}
	t.Logf("%d of 1000 flips changed nothing that counts", harmless)
	if harmless > 100 {
		t.Errorf("%d flips were not found", harmless)
	}
}

// case 16: a folder with flipped bits is never taken for one with nothing in it,
// and looking at it never fails in another way than by saying so.
func TestFlippedBitsInAFolder(t *testing.T) {
	t.Parallel()
	dir := restored(t, small(t))
	files, err := filepath.Glob(filepath.Join(dir, "segments", "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(dir, "control.db"))
	found := 0
	const seeds = 150
	for seed := range uint64(seeds) {
		random := rand.New(rand.NewPCG(seed, 17))
		file := files[random.IntN(len(files))]
		was, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		is := bytes.Clone(was)
		for range 1 + seed%8 {
			is[random.IntN(len(is))] ^= 1 << random.IntN(8)
		}
		if err := os.WriteFile(file, is, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := sqlite.Check(t.Context(), dir, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(r.Findings) > 0 {
			found++
		}
		if err := os.WriteFile(file, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d were found", found, seeds)
	if found == 0 {
		t.Error("no flip was found")
	}
}

// Another backup is refused while one is made; retention leaves the files alone;
// closing the store ends it, whoever reads it.
func TestBackupGivesWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, SegmentEvents: 10})
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(t, st)
	for range 20 {
		if err := l.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error, 1)
	out := &meter{look: func(n int) {
		if n != 3 {
			return
		}
		if _, err := st.Backup(t.Context(), io.Discard, store.BackupQuery{}); !errors.Is(err, store.ErrBackupRunning) {
			t.Errorf("a second backup: %v", err)
		}
		p, err := st.Prune(t.Context(), store.PruneQuery{Before: l.now.Add(time.Hour), Inactive: func(hook.EndpointNum) bool { return true }})
		if err != nil || p.Units != 0 {
			t.Errorf("pruned %+v, %v", p, err)
		}
		go func() { closed <- st.Close() }()
		for !st.Closing() && t.Context().Err() == nil {
			runtime.Gosched()
		}
	}}
	_, err = st.Backup(t.Context(), out, store.BackupQuery{})
	if !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "backup.tmp")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copies are still there: %v", err)
	}
	if _, err := sqlite.Verify(t.Context(), bytes.NewReader(out.Bytes()), nil); err == nil {
		t.Error("half a backup was taken for a whole one")
	}
}

// A restore takes nothing but an empty folder and a backup.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	whole := small(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "note"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("not this one")
	for _, c := range []struct {
		name, want string
		in         []byte
		o          sqlite.RestoreOptions
	}{
		{"a folder with something in it", "note", whole, sqlite.RestoreOptions{Dir: full}},
		{"text", "tar", []byte(strings.Repeat("hello ", 500)), sqlite.RestoreOptions{Dir: filepath.Join(t.TempDir(), "a")}},
		{"last look", "not this one", whole, sqlite.RestoreOptions{Dir: filepath.Join(t.TempDir(), "b"), Verify: func(string) error { return failed }}},
	} {
		_, err := sqlite.Restore(t.Context(), bytes.NewReader(c.in), c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
