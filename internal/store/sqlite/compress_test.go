package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// order is about a kilobyte of data as publishers send it.
func order(n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"id":"ord_%08x","status":"paid","currency":"EUR","customer":{"id":"cus_%x","email":"u%d@example.com","name":"Ada Example"},"lines":[`, n*2654435761, n*40503, n)
	for i := range 8 {
		fmt.Fprintf(&b, `{"id":"li_%06x","sku":"SKU-%04d","description":"A thing that somebody ordered","quantity":%d,"amount":%d},`, n*7919+i, (n*31+i*17)%9999, i+1, (n*97+i*13)%10000)
	}
	fmt.Fprintf(&b, `{}],"total":%d,"created_at":"2026-11-22T15:%02d:%02dZ"}`, n%100000, n/60%60, n%60)
	return b.Bytes()
}

// mixed are events and kept bodies of all kinds: large and small, such as can be
// compressed and such as cannot, and some that begin as a compressed value does.
func mixed(t *testing.T, st *sqlite.Store, seq *int64) (events []*hook.Event, outcomes []*store.Outcome) {
	t.Helper()
	now := time.Unix(1_800_000_000, 0).UTC()
	magic := "\x28\xb5\x2f\xfd"
	for i, data := range []string{
		string(order(1)), `{}`, "", magic, magic + " is how it begins", magic + strings.Repeat("x", 3000), strings.Repeat(`{"a":1}`, 100_000), noise(3000),
	} {
		now = now.Add(time.Millisecond)
		id := hook.NextEventID(*seq, now, uint64(i))
		*seq = id.Seq()
		e := &hook.Event{ID: id, Tenant: 1, Type: "a.b", Time: now, Data: []byte(data), Targets: []hook.Target{{Endpoint: 1}}, Revision: 1 << 40}
		if i%2 == 0 {
			e.Previous, e.Metadata = []byte(data), []byte(data+data)
		}
		events = append(events, e)
		k := hook.DeliveryKey{Event: id, Endpoint: 1}
		outcomes = append(outcomes, &store.Outcome{Key: k, At: now, State: hook.Pending, NextAt: now, FirstAt: now, Body: []byte(data), Attempt: &hook.Attempt{
			Key: k, N: 1, At: now, Status: 500, State: hook.Pending, ResponseBody: []byte(data),
		}})
	}
	if err := st.Append(t.Context(), &store.Batch{Revision: 1 << 40, Events: events}); err != nil {
		t.Fatal(err)
	}
	lease, err := st.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Record(t.Context(), lease, outcomes); err != nil {
		t.Fatal(err)
	}
	return events, outcomes
}

// noise does not get smaller by being compressed.
func noise(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return string(b)
}

// same checks that all is read as it was given.
func same(t *testing.T, st *sqlite.Store, events []*hook.Event, outcomes []*store.Outcome) {
	t.Helper()
	work, _, err := st.Retries(t.Context(), 1, time.Unix(2_000_000_000, 0), 1000)
	if err != nil || len(work) < len(events) {
		t.Fatalf("%d of %d deliveries are due: %v", len(work), len(events), err)
	}
	bodies := map[hook.DeliveryKey][]byte{}
	for _, w := range work {
		bodies[w.Key()] = w.Body
	}
	for i, e := range events {
		got, err := st.Event(t.Context(), hook.AllTenants, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Data) != string(e.Data) || string(got.Previous) != string(e.Previous) || string(got.Metadata) != string(e.Metadata) || (got.Previous == nil) != (e.Previous == nil) {
			t.Fatalf("event %d came back as another one", i)
		}
		o := outcomes[i]
		list, err := st.Attempts(t.Context(), hook.AllTenants, o.Key)
		if err != nil || len(list) != 1 || string(list[0].ResponseBody) != string(o.Attempt.ResponseBody) || string(bodies[o.Key]) != string(o.Body) {
			t.Fatalf("event %d: its attempt or its body came back as another one: %v", i, err)
		}
	}
}

// What is compressed and what is not stand in one folder, whatever the setting is
// and was, and go through a backup.
func TestCompressionChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFolder(t, sqlite.Options{SegmentEvents: 5})
	var events []*hook.Event
	var outcomes []*store.Outcome
	var seq int64
	for _, on := range []bool{false, true, false} {
		f.opts.Compress = on
		if f.st == nil {
			f.open(t)
		} else {
			f.reopen(t)
		}
		e, o := mixed(t, f.st, &seq)
		events, outcomes = append(events, e...), append(outcomes, o...)
		same(t, f.st, events, outcomes)
	}
	if err := f.st.Settle(); err != nil {
		t.Fatal(err)
	}
	same(t, f.st, events, outcomes)
	var tar bytes.Buffer
	if _, err := f.st.Backup(t.Context(), &tar, store.BackupQuery{}); err != nil {
		t.Fatal(err)
	}
	dir := restored(t, tar.Bytes())
	if r, err := sqlite.Check(t.Context(), dir, nil); err != nil || len(r.Findings) > 0 {
		t.Fatalf("the restored folder: %+v, %v", r, err)
	}
	st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	same(t, st, events, outcomes)
}

// A compressed value that is damaged is an error and a finding, and a small one
// that says it is huge takes no more memory than an event may.
func TestDamagedCompression(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"cut":        `substr(data, 1, length(data) - 9)`,
		"other data": `x'28b52ffd' || zeroblob(50)`,
		"bomb":       `x'28b52ffda0ffffff7f' || zeroblob(50)`, // 2 GiB of content, it says
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t, sqlite.Options{Compress: true})
			var seq int64
			events, _ := mixed(t, f.open(t), &seq)
			f.st.Close()
			execute(t, f.files(t)[0], fmt.Sprintf(`UPDATE events SET data = CAST(%s AS BLOB) WHERE id = %d`, change, events[0].ID.Seq()))
			r, err := sqlite.Check(t.Context(), f.dir, nil)
			if err != nil || len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Problem, "malformed") {
				t.Fatalf("found %+v, %v", r, err)
			}
			f.open(t)
			if _, err := f.st.Event(t.Context(), hook.AllTenants, events[0].ID); err == nil || errors.Is(err, store.ErrNotFound) {
				t.Fatalf("reading it: %v", err)
			}
			got, err := f.st.Event(t.Context(), hook.AllTenants, events[1].ID)
			if err != nil || cmp.Diff(events[1].Data, got.Data) != "" {
				t.Fatalf("the next one: %v", err)
			}
		})
	}
}

// What a delivered event of a kilobyte takes on the disk in the end.
func TestBytesOfAnEvent(t *testing.T) {
	t.Parallel()
	const n = 4000
	if size := len(order(n)); size < 1000 || size > 1100 {
		t.Fatalf("the events have %d bytes, not about a kilobyte", size)
	}
	for _, tt := range []struct {
		compress bool
		most     int64
	}{{false, 2048}, {true, 1331}} {
		dir := t.TempDir()
		st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, SegmentEvents: n / 2, Compress: tt.compress})
		if err != nil {
			t.Fatal(err)
		}
		deliverMany(t, st, n)
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		size := folderSize(t, dir)
		if t.Logf("compressed %t: %d bytes an event", tt.compress, size/n); size/n > tt.most {
			t.Errorf("compressed %t: %d bytes an event on the disk, more than %d", tt.compress, size/n, tt.most)
		}
	}
}

// folderSize is the size of all files in a folder, but for the reserve.
func folderSize(t testing.TB, dir string) (size int64) {
	err := filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if info, e := e.Info(); err == nil && e == nil && info.Mode().IsRegular() && info.Name() != "reserve" {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// deliverMany stores events of a kilobyte with their first attempts.
func deliverMany(t testing.TB, st *sqlite.Store, n int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	lease, err := st.Acquire(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	gen := newGenerator()
	for at := 0; at < n; at += 250 {
		events := gen.batch(min(250, n-at))
		for i, e := range events {
			e.Data = order(at + i)
		}
		if err := st.Append(ctx, &store.Batch{Events: events}); err != nil {
			t.Fatal(err)
		}
		if err := st.Record(ctx, lease, gen.outcomes(events)); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
}

// What could not be read again, for it would grow to more than a damaged value may,
// is not compressed: a form-encoded body can be three times as large as its event.
func TestWhatIsTooLargeToUnpackIsNotCompressed(t *testing.T) {
	t.Parallel()
	v := make([]byte, codec.UnpackMost+1)
	if got := (&codec.Packer{On: true}).Pack(v); len(got) != len(v) {
		t.Errorf("%d bytes are stored as %d", len(v), len(got))
	}
	if got := (&codec.Packer{On: true}).Pack(v[:packedSize]); len(got) >= packedSize {
		t.Errorf("%d bytes are stored as %d", packedSize, len(got))
	}
}

const packedSize = 1 << 20
