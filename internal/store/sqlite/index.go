package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"
	"sync"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// hashEventKey stands for an event key. seed keeps callers from finding
// collisions; one that happens anyway is told apart by the full key.
func hashEventKey(seed []byte, k store.EventKey) uint64 {
	b := make([]byte, 0, 128)
	b = append(b, seed...)
	b = append(b, 'e')
	b = binary.LittleEndian.AppendUint64(b, uint64(k.Tenant))
	sum := sha256.Sum256(append(b, k.Key...))
	return binary.LittleEndian.Uint64(sum[:8])
}

// hashRequestKey stands for a request key.
func hashRequestKey(seed []byte, k store.RequestKey) uint64 {
	b := make([]byte, 0, 192)
	b = append(b, seed...)
	b = append(b, 'r')
	b = binary.LittleEndian.AppendUint64(b, uint64(len(k.Scope)))
	b = append(b, k.Scope...)
	sum := sha256.Sum256(append(b, k.Key...))
	return binary.LittleEndian.Uint64(sum[:8])
}

// index is the memory of a segment that is not sealed: what its file has no
// index for. Events and deliveries are meant by their place in the segment.
type index struct {
	mu        sync.RWMutex
	base      int64                         // number of the segment's first delivery
	ids       []int64                       // of the events, ascending
	starts    []uint32                      // deliveries before each event
	count     uint32                        // deliveries
	endpoints map[hook.EndpointNum][]uint32 // deliveries, counted from base
	tenants   map[hook.TenantNum][]uint32   // events
	keys      hashes
	requests  hashes
}

func newIndex() *index {
	return &index{endpoints: map[hook.EndpointNum][]uint32{}, tenants: map[hook.TenantNum][]uint32{}}
}

// hashes maps hashes to places. The rare second place of a hash has a list of
// its own, so that the usual entry stays small.
type hashes struct {
	first map[uint64]int64
	more  map[uint64][]int64
}

func (h *hashes) add(hash uint64, place int64) {
	if h.first == nil {
		h.first = map[uint64]int64{}
	}
	if _, taken := h.first[hash]; !taken {
		h.first[hash] = place
		return
	}
	if h.more == nil {
		h.more = map[uint64][]int64{}
	}
	h.more[hash] = append(h.more[hash], place)
}

// get lists the places of a hash, newest first.
func (h *hashes) get(hash uint64) []int64 {
	first, ok := h.first[hash]
	if !ok {
		return nil
	}
	out := append([]int64{first}, h.more[hash]...)
	slices.Reverse(out)
	return out
}

// pairs lists all hashes with their places in order, the hashes as signed
// numbers. A hash with several places is there several times.
func (h *hashes) pairs() [][2]int64 {
	out := make([][2]int64, 0, len(h.first))
	for hash, place := range h.first {
		out = append(out, [2]int64{int64(hash), place})
		for _, p := range h.more[hash] {
			out = append(out, [2]int64{int64(hash), p})
		}
	}
	slices.SortFunc(out, func(a, b [2]int64) int {
		if a[0] != b[0] {
			return compare(a[0], b[0])
		}
		return compare(a[1], b[1])
	})
	return out
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// add appends an event that is committed. number is that of its first delivery.
func (x *index) add(e *entry, number int64) {
	place := uint32(len(x.ids))
	if place == 0 {
		x.base = number
	}
	x.ids = append(x.ids, e.id)
	x.starts = append(x.starts, x.count)
	for i, t := range e.targets {
		x.endpoints[t.Endpoint] = append(x.endpoints[t.Endpoint], x.count+uint32(i))
	}
	x.count += uint32(len(e.targets))
	x.tenants[e.tenant] = append(x.tenants[e.tenant], place)
	if e.keyed {
		x.keys.add(e.hash, e.id)
	}
}

// at is the place of the first event with an id of seq or above.
func (x *index) at(seq int64) int {
	return sort.Search(len(x.ids), func(i int) bool { return x.ids[i] >= seq })
}

// delivery is a delivery's number and its event.
type delivery struct{ event, number int64 }

// find gives the number of the delivery of an event to an endpoint.
func (x *index) find(seq int64, endpoint hook.EndpointNum) (number int64, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i := x.at(seq)
	if i == len(x.ids) || x.ids[i] != seq {
		return 0, false
	}
	list := x.endpoints[endpoint]
	j, _ := slices.BinarySearch(list, x.starts[i])
	if j == len(list) || i+1 < len(x.starts) && list[j] >= x.starts[i+1] {
		return 0, false
	}
	return x.base + int64(list[j]), true
}

// event is the id of the event that a delivery belongs to.
func (x *index) event(d uint32) int64 {
	i := sort.Search(len(x.starts), func(i int) bool { return x.starts[i] > d })
	return x.ids[i-1]
}

// start is the place among the deliveries of the first event with an id of seq
// or above.
func (x *index) start(seq int64) uint32 {
	if i := x.at(seq); i < len(x.starts) {
		return x.starts[i]
	}
	return x.count
}

// ofEndpoint lists up to n of an endpoint's deliveries, of events at from and
// above upwards, or at from and below downwards.
func (x *index) ofEndpoint(endpoint hook.EndpointNum, from int64, down bool, n int) []delivery {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := x.endpoints[endpoint]
	if down {
		j, _ := slices.BinarySearch(list, x.start(from+1))
		list = list[max(0, j-n):j]
	} else {
		j, _ := slices.BinarySearch(list, x.start(from))
		list = list[j:min(len(list), j+n)]
	}
	out := make([]delivery, len(list))
	for i, d := range list {
		out[i] = delivery{x.event(d), x.base + int64(d)}
	}
	if down {
		slices.Reverse(out)
	}
	return out
}

// ofTenant lists up to n events of a tenant, with ids at from and above upwards,
// or at from and below downwards.
func (x *index) ofTenant(tenant hook.TenantNum, from int64, down bool, n int) []int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := x.tenants[tenant]
	if down {
		j, _ := slices.BinarySearch(list, uint32(x.at(from+1)))
		list = list[max(0, j-n):j]
	} else {
		j, _ := slices.BinarySearch(list, uint32(x.at(from)))
		list = list[j:min(len(list), j+n)]
	}
	out := make([]int64, len(list))
	for i, place := range list {
		out[i] = x.ids[place]
	}
	if down {
		slices.Reverse(out)
	}
	return out
}
