package oauth2

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// issuer plays token endpoints: each request takes a second.
type issuer struct {
	mu     sync.Mutex
	asked  []*egress.Request
	answer func(ctx context.Context, n int) *egress.Result
}

func (i *issuer) Do(ctx context.Context, r *egress.Request) *egress.Result {
	i.mu.Lock()
	i.asked = append(i.asked, r)
	n, answer := len(i.asked), i.answer
	i.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return &egress.Result{Class: egress.ClassCanceled, Detail: "the attempt was called off"}
	}
	if answer != nil {
		return answer(ctx, n)
	}
	return says(200, fmt.Sprintf(`{"access_token":"t%d","token_type":"Bearer","expires_in":3600}`, n))
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.asked)
}

func says(status int, body string) *egress.Result {
	return &egress.Result{Status: status, Body: []byte(body)}
}

var client = &Client{TokenURL: "https://login.example/token", ID: "a b", Secret: "s:%", Scope: "x y", Audience: "them"}

func wantToken(t *testing.T, s *Tokens, of hook.EndpointNum, c *Client, want string) {
	t.Helper()
	got, err := s.Get(t.Context(), of, c, 10*time.Second)
	if err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", string(got), err, want)
	}
}

func TestTokensAreKeptUntilShortlyBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := new(issuer)
		s := New(i)
		wantToken(t, s, 1, client, "t1")
		time.Sleep(3600*time.Second - margin - time.Second)
		wantToken(t, s, 1, client, "t1")
		time.Sleep(time.Second)
		wantToken(t, s, 1, client, "t2") // while the first one is still good
		wantToken(t, s, 2, client, "t3") // each endpoint has its own
		changed := *client
		changed.Scope = "z"
		wantToken(t, s, 1, &changed, "t4")
		wantToken(t, s, 1, &changed, "t4")
	})
}

func TestOneRequestAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := new(issuer)
		s := New(i)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { wantToken(t, s, 1, client, "t1") })
		}
		all.Wait()
		if n := i.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// One endpoint's slow token endpoint is nobody else's.
func TestOthersDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		i := &issuer{answer: func(_ context.Context, n int) *egress.Result {
			if n == 1 {
				time.Sleep(time.Hour)
			}
			return says(200, `{"access_token":"t"}`)
		}}
		s := New(i)
		var slow sync.WaitGroup
		slow.Go(func() { wantToken(t, s, 1, client, "t") })
		synctest.Wait()
		wantToken(t, s, 2, client, "t")
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v", took)
		}
		if _, err := s.Get(t.Context(), 1, client, 5*time.Second); err == nil || !strings.Contains(err.Error(), "in time") {
			t.Errorf("who waits is told %v", err)
		}
		slow.Wait()
	})
}

func TestWhoeverGivesUpLeavesItToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := new(issuer)
		s := New(i)
		ctx, cancel := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() {
			if _, err := s.Get(ctx, 1, client, time.Minute); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		var second sync.WaitGroup
		second.Go(func() { wantToken(t, s, 1, client, "t2") })
		synctest.Wait()
		cancel()
		first.Wait()
		second.Wait()
	})
}

func TestARefusedTokenIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(new(issuer))
		wantToken(t, s, 1, client, "t1")
		s.Forget(1, "another")
		wantToken(t, s, 1, client, "t1")
		s.Forget(1, "t1")
		wantToken(t, s, 1, client, "t2")
		s.Forget(1, "t1") // a late answer to a request with the first one
		wantToken(t, s, 1, client, "t2")
	})
}

func TestFailuresAreNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{answer: func(_ context.Context, n int) *egress.Result {
			switch n {
			case 1:
				return says(401, `{"error":"invalid_client","error_description":"s:% is wrong"}`)
			case 2:
				panic("broken")
			}
			return says(200, `{"access_token":"t"}`)
		}}
		s := New(i)
		if _, err := s.Get(t.Context(), 1, client, time.Minute); err == nil || err.Error() != "the token endpoint answered 401: invalid_client" {
			t.Errorf("%v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = s.Get(t.Context(), 1, client, time.Minute)
		}()
		wantToken(t, s, 1, client, "t")
	})
}

func TestTokensAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(new(issuer))
		now := time.Now()
		for n := range hook.EndpointNum(maxKept + 100) {
			e, mine := s.entry(n, client.fingerprint(), now)
			if !mine {
				t.Fatal("somebody else's")
			}
			e.unless = now.Add(time.Hour)
		}
		if len(s.kept) > maxKept {
			t.Errorf("%d are kept", len(s.kept))
		}
	})
}

// What is asked, by RFC 6749: section 2.3.1 encodes both parts before they are joined.
func TestRequest(t *testing.T) {
	t.Parallel()
	r := client.request(time.Second)
	if got := string(r.Body); got != "audience=them&grant_type=client_credentials&scope=x+y" {
		t.Error(got)
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("a+b:s%3A%25"))
	if got := r.Header[len(r.Header)-1]; got.Name != "Authorization" || got.Value != want {
		t.Errorf("%v", got)
	}
	in := *client
	in.InBody = true
	r = in.request(time.Second)
	if got := string(r.Body); got != "audience=them&client_id=a+b&client_secret=s%3A%25&grant_type=client_credentials&scope=x+y" {
		t.Error(got)
	}
	for _, h := range r.Header {
		if h.Name == "Authorization" {
			t.Error("both ways at once")
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		r        *egress.Result
		lifetime time.Duration
		err      string
	}{
		{"plain", says(200, `{"access_token":"t","token_type":"bearer","expires_in":100}`), 80 * time.Second, ""},
		{"as a text", says(200, `{"access_token":"t","expires_in":"3600"}`), 3570 * time.Second, ""},
		{"no end", says(200, `{"access_token":"t"}`), unsaid - margin, ""},
		{"used up at once", says(200, `{"access_token":"t","expires_in":0}`), 0, ""},
		{"beyond all bounds", says(200, `{"access_token":"t","expires_in":1e300}`), longest - margin, ""},
		{"negative", says(200, `{"access_token":"t","expires_in":-1}`), unsaid - margin, ""},
		{"refused", says(400, `{"error":"invalid_scope"}`), 0, "the token endpoint answered 400: invalid_scope"},
		{"its own words are not shown", says(400, `{"error":"s3cret_of_the_client"}`), 0, "the token endpoint answered 400"},
		{"gone", says(410, `x`), 0, "the token endpoint answered 410"},
		{"redirected", says(302, ``), 0, "the token endpoint answered 302"},
		{"no JSON", says(200, `access_token=t`), 0, "is not the JSON object"},
		{"a list", says(200, `[]`), 0, "is not the JSON object"},
		{"cut short", &egress.Result{Status: 200, Truncated: true, Body: []byte(`{"access_token":"t"}`)}, 0, "is not the JSON object"},
		{"none", says(200, `{}`), 0, "holds no access_token"},
		{"two lines", says(200, `{"access_token":"t\r\nX-Evil: 1"}`), 0, "characters that no header may"},
		{"too long", says(200, `{"access_token":"`+strings.Repeat("t", maxToken+1)+`"}`), 0, "too long"},
		{"of another type", says(200, `{"access_token":"t","token_type":"DPoP"}`), 0, "not Bearer"},
		{"blocked", &egress.Result{Class: egress.ClassBlocked, Detail: "requests to this address are not allowed"}, 0, "the token endpoint: requests to this address are not allowed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			token, lifetime, err := read(tc.r)
			switch {
			case tc.err == "" && (err != nil || token != "t" || lifetime != tc.lifetime):
				t.Errorf("%q, %v, %v", string(token), lifetime, err)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("%v", err)
			}
		})
	}
}
