package dispatch_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// tokens is a token endpoint, beside a world's endpoints; it notes what these are sent.
type tokens struct {
	*world
	mu     sync.Mutex
	asked  int
	answer func(n int) *egress.Result
	sent   map[hook.EndpointNum][]string // values of Authorization headers
}

const tokenURL = "https://login.example/token"

// Do is the network.
func (k *tokens) Do(ctx context.Context, r *egress.Request) *egress.Result {
	if r.URL == tokenURL {
		k.mu.Lock()
		k.asked++
		n, answer := k.asked, k.answer
		k.mu.Unlock()
		if answer != nil {
			return answer(n)
		}
		return &egress.Result{Status: 200, Body: fmt.Appendf(nil, `{"access_token":"token%d","expires_in":3600}`, n)}
	}
	for _, h := range r.Header {
		if h.Name == "Authorization" {
			var num hook.EndpointNum
			fmt.Sscan(strings.TrimPrefix(r.URL, k.base), &num)
			k.mu.Lock()
			k.sent[num] = append(k.sent[num], h.Value)
			k.mu.Unlock()
		}
	}
	return k.world.Do(ctx, r)
}

// authorizing runs a test in which endpoint 1 has auth.
func authorizing(t *testing.T, n int, auth hook.EndpointAuth, secret hook.Secret, f func(k *tokens)) {
	t.Helper()
	inBubble(t, n, func(w *world) {
		k := &tokens{world: w, sent: map[hook.EndpointNum][]string{}}
		w.tune = func(c *dispatch.Config) { c.Egress = k }
		w.make()
		w.change(1, func(e *hook.Endpoint) {
			sealed, err := w.ring.SealAuth(secret, e)
			if err != nil {
				t.Fatal(err)
			}
			a := auth
			a.Sealed, e.Auth = sealed, &a
		})
		w.start()
		f(k)
		w.stop()
		for _, a := range w.queue.tried() {
			if bytes.Contains(a.RequestHeader, []byte("canary")) || bytes.Contains(a.RequestHeader, []byte("token1")) || strings.Contains(a.Detail, "canary") {
				t.Errorf("an attempt shows %s %s", a.RequestHeader, a.Detail)
			}
		}
	})
}

var oauth = hook.EndpointAuth{Type: hook.AuthOAuth2, Name: "id", TokenURL: tokenURL}

func wantSent(t *testing.T, k *tokens, want ...string) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if got := fmt.Sprint(k.sent[1]); got != fmt.Sprint(want) {
		t.Errorf("sent %s, want %v", got, want)
	}
}

func TestBasicAuth(t *testing.T) {
	authorizing(t, 1, hook.EndpointAuth{Type: hook.AuthBasic, Name: "Aladdin"}, "open sesame", func(k *tokens) {
		k.publish(1)
		time.Sleep(time.Second)
		wantSent(t, k, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") // RFC 7617, section 2
	})
}

func TestBearerAuth(t *testing.T) {
	authorizing(t, 1, hook.EndpointAuth{Type: hook.AuthBearer}, "canary", func(k *tokens) {
		k.publish(1)
		time.Sleep(time.Second)
		wantSent(t, k, "Bearer canary")
		if h := k.queue.tried()[0].RequestHeader; !bytes.Contains(h, []byte("Authorization: "+hook.Hidden)) {
			t.Errorf("%s", h)
		}
	})
}

// One token for all, until the endpoint refuses it: the next attempt, by the schedule,
// has another.
func TestTokenIsRefreshedAfter401(t *testing.T) {
	authorizing(t, 1, oauth, "canary", func(k *tokens) {
		k.publish(1)
		time.Sleep(time.Second)
		k.publish(1)
		time.Sleep(time.Second)
		wantSent(t, k, "Bearer token1", "Bearer token1")
		k.answers(1, func(ctx context.Context, n int) *egress.Result {
			if n == 3 {
				return after(ctx, time.Millisecond, status(401))
			}
			return after(ctx, time.Millisecond, status(200))
		})
		k.publish(1)
		time.Sleep(500 * time.Millisecond)
		wantSent(t, k, "Bearer token1", "Bearer token1", "Bearer token1") // not twice in one attempt
		time.Sleep(time.Minute)
		wantSent(t, k, "Bearer token1", "Bearer token1", "Bearer token1", "Bearer token2")
		if got := k.queue.count(); got[hook.Delivered] != 3 {
			t.Errorf("%v", got)
		}
	})
}

// A token endpoint that fails makes the attempt fail, in words, and is tried again by
// the schedule. Its 410 is not the endpoint's.
func TestTokenEndpointFails(t *testing.T) {
	authorizing(t, 1, oauth, "canary", func(k *tokens) {
		k.mu.Lock()
		k.answer = func(n int) *egress.Result {
			switch n {
			case 1:
				return &egress.Result{Status: 401, Body: []byte(`{"error":"invalid_client","error_description":"canary"}`)}
			case 2:
				return &egress.Result{Status: 410}
			case 3: // case 84: where the guard does not let it
				return &egress.Result{Class: egress.ClassBlocked, Detail: "requests to this address are not allowed"}
			}
			return &egress.Result{Status: 200, Body: []byte(`{"access_token":"late"}`)}
		}
		k.mu.Unlock()
		k.publish(1)
		time.Sleep(2 * time.Hour)
		wantSent(t, k, "Bearer late")
		var told []string
		for _, a := range k.queue.tried() {
			told = append(told, a.Class+" "+a.Detail)
		}
		want := []string{"auth the token endpoint answered 401: invalid_client", "auth the token endpoint answered 410", "auth the token endpoint: requests to this address are not allowed", " "}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("%q", told)
		}
		if len(k.acted()) > 0 {
			t.Errorf("%v", k.acted())
		}
	})
}

// A token endpoint that takes long costs the attempts of its own endpoint their time, and
// others nothing.
func TestSlowTokenEndpoint(t *testing.T) {
	authorizing(t, 2, oauth, "canary", func(k *tokens) {
		k.mu.Lock()
		k.answer = func(int) *egress.Result {
			time.Sleep(10 * time.Second)
			return &egress.Result{Class: egress.ClassTimeoutHeader, Detail: "the endpoint did not answer in time"}
		}
		k.mu.Unlock()
		for range 20 {
			k.publish(1)
			k.publish(2)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(k.seen(2)); n != 20 {
			t.Errorf("%d requests to the other endpoint", n)
		}
		k.mu.Lock()
		asked := k.asked
		k.mu.Unlock()
		if asked != 1 {
			t.Errorf("%d requests for a token", asked)
		}
		time.Sleep(20 * time.Second)
	})
}

// What connections are made with follows the endpoint's configuration, and is one
// endpoint's own.
func TestIdentityOfAnEndpoint(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		var mu sync.Mutex
		seen := map[[32]byte]hook.Secret{}
		bare := 0
		w.tune = func(c *dispatch.Config) {
			c.Egress = spy(func(ctx context.Context, r *egress.Request) *egress.Result {
				mu.Lock()
				if r.Identity == nil {
					bare++
				} else if got, err := r.Identity.Load(); err != nil {
					t.Error(err)
				} else {
					seen[r.Identity.ID] = got.Key
				}
				mu.Unlock()
				return w.Do(ctx, r)
			})
		}
		w.make()
		with := func(num hook.EndpointNum, key hook.Secret) {
			w.change(num, func(e *hook.Endpoint) {
				sealed, err := w.ring.SealTLSKey(key, e)
				if err != nil {
					t.Fatal(err)
				}
				e.TLS = &hook.EndpointTLS{Certificate: "c", Key: sealed}
			})
		}
		w.start()
		w.publish(1, 2)
		time.Sleep(time.Second)
		with(1, "one")
		with(2, "one")
		w.publish(1, 2)
		time.Sleep(time.Second)
		with(1, "another")
		w.publish(1, 2)
		time.Sleep(time.Second)
		w.stop()
		mu.Lock()
		defer mu.Unlock()
		if len(seen) != 3 || bare != 2 {
			t.Errorf("%d identities, %d requests without", len(seen), bare)
		}
	})
}

type spy func(ctx context.Context, r *egress.Request) *egress.Result

func (s spy) Do(ctx context.Context, r *egress.Request) *egress.Result { return s(ctx, r) }
