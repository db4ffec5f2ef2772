package callers

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"grapnel/internal/hook"
)

// Rate is how often something may happen. The zero value is no limit.
type Rate struct {
	N     int           // how often
	Per   time.Duration // in which span
	Burst int           // how often at once after a pause; 0: N
}

// off reports whether there is no limit.
func (r Rate) off() bool { return r.N <= 0 || r.Per <= 0 }

// buckets are token buckets, one for each key. A bucket that nothing is known
// of is full, so those that are full again can be forgotten.
type buckets[K comparable] struct {
	rate  float64 // tokens that come back in a second
	burst float64 // tokens in a full bucket
	most  int     // buckets that are remembered

	mu sync.Mutex
	of map[K]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newBuckets[K comparable](r Rate, most int) *buckets[K] {
	if r.Burst <= 0 {
		r.Burst = r.N
	}
	return &buckets[K]{rate: float64(r.N) / r.Per.Seconds(), burst: float64(r.Burst), most: most, of: map[K]bucket{}}
}

// take takes a token, and says how many are left. Without one it takes
// nothing, and ok is false.
func (b *buckets[K]) take(key K, now time.Time) (left float64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left = b.left(key, now)
	if ok = left >= 1; ok {
		left--
		if _, known := b.of[key]; !known && len(b.of) >= b.most {
			b.forget(now)
		}
		b.of[key] = bucket{left, now}
	}
	return left, ok
}

// peek says how many tokens there are.
func (b *buckets[K]) peek(key K, now time.Time) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left(key, now)
}

func (b *buckets[K]) left(key K, now time.Time) float64 {
	k, ok := b.of[key]
	if !ok {
		return b.burst
	}
	return b.filled(k, now)
}

func (b *buckets[K]) filled(k bucket, now time.Time) float64 {
	return min(b.burst, k.tokens+max(0, now.Sub(k.at).Seconds())*b.rate)
}

// glance is how many buckets are looked at for one to forget.
const glance = 64

// forget makes room: of some buckets, those that are full again go, and the
// fullest in any case.
func (b *buckets[K]) forget(now time.Time) {
	var fullest K
	most, looked := -1.0, 0
	for key, k := range b.of {
		tokens := b.filled(k, now)
		if tokens >= b.burst {
			delete(b.of, key)
		}
		if tokens > most {
			fullest, most = key, tokens
		}
		if looked++; looked == glance {
			break
		}
	}
	delete(b.of, fullest)
}

// until is how many whole seconds pass until a bucket with left tokens has
// want.
func (b *buckets[K]) until(left, want float64) int {
	return int(math.Ceil((want - left) / b.rate))
}

// maxKeys bounds the keys whose use is counted, maxClients the addresses whose
// failures are, and maxPairs the pairs of both that are known to be good.
const (
	maxKeys    = 1 << 16
	maxClients = 1 << 14
	maxPairs   = 1 << 16
)

// keyLimit bounds how often each key is used, and tells callers of it in the
// fields of draft-ietf-httpapi-ratelimit-headers-11.
type keyLimit struct {
	buckets *buckets[string]
	policy  []string
}

// newKeyLimit is nil where there is no limit.
func newKeyLimit(r Rate) *keyLimit {
	if r.off() {
		return nil
	}
	b := newBuckets[string](r, maxKeys)
	window := max(1, b.until(0, b.burst))
	return &keyLimit{buckets: b, policy: []string{fmt.Sprintf(`"key";q=%d;w=%d`, int(b.burst), window)}}
}

// pass counts a request with a key, and refuses it when there are too many.
func (l *keyLimit) pass(h http.Header, keyID string, now time.Time) error {
	left, ok := l.buckets.take(keyID, now)
	h["Ratelimit-Policy"] = l.policy
	h["Ratelimit"] = []string{`"key";r=` + strconv.Itoa(int(left)) + ";t=" + strconv.Itoa(l.buckets.until(left, l.buckets.burst))}
	if ok {
		return nil
	}
	wait := strconv.Itoa(max(1, l.buckets.until(left, 1)))
	h["Retry-After"] = []string{wait}
	return hook.Errorf(hook.CodeRateLimited, "this key is used more often than the server allows: send the request again in %s s", wait)
}

// failedKeys bounds how often wrong keys come from one address (case 102).
// Over the limit, an address is told nothing of any key but of those that
// have worked from there: else somebody who guesses could shut out all who
// share an address with them.
type failedKeys struct {
	buckets *buckets[netip.Addr]
	logger  *slog.Logger

	mu     sync.RWMutex
	good   map[pair]struct{}
	warned time.Time
}

// pair is a key and an address that it has worked from.
type pair struct {
	keyID  string
	client netip.Addr
}

// newFailedKeys is nil where there is no limit.
func newFailedKeys(r Rate, logger *slog.Logger) *failedKeys {
	if r.off() {
		return nil
	}
	return &failedKeys{buckets: newBuckets[netip.Addr](r, maxClients), logger: logger, good: map[pair]struct{}{}}
}

// network is what counts as one address: networks give each of their members
// a /64 of IPv6.
func network(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// worked is told of a key that is right. It is an error all the same where too
// many were wrong before.
func (f *failedKeys) worked(h http.Header, client netip.Addr, keyID string, now time.Time) error {
	p := pair{keyID, network(client)}
	f.mu.RLock()
	_, known := f.good[p]
	f.mu.RUnlock()
	if known {
		return nil
	}
	if left := f.buckets.peek(p.client, now); left < 1 {
		return f.refuse(h, left)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.good) >= maxPairs {
		clear(f.good)
	}
	f.good[p] = struct{}{}
	return nil
}

// failed is told of a wrong key, and gives the error to answer with: the same
// one, or that there are too many.
func (f *failedKeys) failed(h http.Header, client netip.Addr, now time.Time, err error) error {
	left, ok := f.buckets.take(network(client), now)
	if !ok {
		return f.refuse(h, left)
	}
	if left < 1 {
		f.warn(client, now)
	}
	return err
}

func (f *failedKeys) refuse(h http.Header, left float64) error {
	wait := strconv.Itoa(max(1, f.buckets.until(left, 1)))
	h["Retry-After"] = []string{wait}
	return hook.Errorf(hook.CodeRateLimited, "too many requests with a wrong key came from this address: send the request again in %s s", wait)
}

// warnEvery is how often the log tells of addresses that wrong keys come from.
const warnEvery = time.Minute

func (f *failedKeys) warn(client netip.Addr, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.warned.IsZero() && now.Sub(f.warned) < warnEvery {
		return
	}
	f.warned = now
	f.logger.Warn("too many wrong keys from one address: it is limited", "client", client.String())
}
