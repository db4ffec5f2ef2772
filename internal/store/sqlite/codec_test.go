package sqlite

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
)

// FuzzEntries: no stored bytes make the memory's parser panic.
func FuzzEntries(f *testing.F) {
	f.Add(appendEntries(nil, 7, []entry{{id: 9, tenant: 1, keyed: true, hash: 3, targets: []hook.Target{{Endpoint: 4}}}, {id: 12, tenant: 2}}, 3, []uint64{1, 2}))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = newIndex().load(b) })
}

func TestBloom(t *testing.T) {
	t.Parallel()
	b := newBloom(1000)
	for i := range uint64(1000) {
		b.add(spread(i))
	}
	wrong := 0
	for i := range uint64(11_000) {
		switch maybe := b.maybe(spread(i)); {
		case i < 1000 && !maybe:
			t.Fatalf("%d is missing", i)
		case i >= 1000 && maybe:
			wrong++
		}
	}
	if wrong > 300 {
		t.Fatalf("%d of 10000 answers are wrong", wrong)
	}
	if newBloom(0).maybe(1) {
		t.Fatal("an empty filter has something")
	}
}

// Equal hashes of different keys are all kept, in memory and in a sealed
// segment's rows.
func TestEqualHashes(t *testing.T) {
	t.Parallel()
	var h hashes
	for i := range int64(1000) {
		h.add(uint64(i%5)<<61, i)
	}
	if got := h.get(3 << 61); len(got) != 200 || got[0] != 998 || got[199] != 3 {
		t.Fatalf("%d places, from %d to %d", len(got), got[0], got[199])
	}
	found := map[int64]int{}
	firsts := map[int64]bool{}
	for row := range chunkPairs(h.pairs()) {
		if firsts[row[0][0]] {
			t.Fatal("two rows begin with one hash")
		}
		firsts[row[0][0]] = true
		pairs, err := parsePairs(appendPairs(nil, row), row[0][0])
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(row, pairs); d != "" {
			t.Fatal(d)
		}
		for _, p := range pairs {
			found[p[0]]++
		}
	}
	if len(found) != 5 || found[3<<61] != 200 || found[-1<<63] != 200 {
		t.Fatalf("found %v", found)
	}
}
