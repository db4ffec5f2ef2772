package api_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const keyed = "Idempotency-Key: k 1"

// Each call that changes something, sent again under its key, is answered the
// same, secrets included, and changes nothing.
func TestSentAgainUnderItsKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.endpoint("acme", `{"url":"https://example.com/a"}`)
	event := b.publish("acme", `{"type":"a","data":1}`)
	b.attempt(event, id, hook.Attempt{N: 1, At: time.Now(), Status: 500, State: hook.Failed})
	delivery := b.want(http.StatusOK, "GET", acmeEvents+"/"+event, "").list("deliveries")[0]["id"].(string)
	for _, c := range []struct {
		path, body string
		status     int
		header     string // that is answered again
		count      string // what there must be one more of
	}{
		{"/v1/tenants/acme/endpoints", `{"url":"https://example.com/b"}`, http.StatusCreated, "Location", "/v1/tenants/acme/endpoints"},
		{"/v1/tenants/acme/endpoints/" + id + "/secret/rotate", `{}`, http.StatusOK, "ETag", ""},
		{"/v1/keys", `{"scopes":["read"]}`, http.StatusCreated, "ETag", "/v1/keys"},
		{"/v1/tenants/acme/deliveries/" + delivery + "/redeliver", ``, http.StatusAccepted, "Content-Type", ""},
	} {
		header := "Idempotency-Key: " + c.path
		before := b.count(c.count)
		first := b.want(c.status, "POST", c.path, c.body, header)
		for range 2 {
			again := b.want(c.status, "POST", c.path, c.body, header)
			if again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" {
				t.Errorf("%s: %s, then %s, %v", c.path, first.body, again.body, again.header)
			}
			if got, want := again.header.Get(c.header), first.header.Get(c.header); got != want || want == "" {
				t.Errorf("%s: %s is %q, then %q", c.path, c.header, want, got)
			}
		}
		if n := b.count(c.count) - before; c.count != "" && n != 1 {
			t.Errorf("%s: %d were made", c.path, n)
		}
		b.want(http.StatusUnprocessableEntity, "POST", c.path, `{"url":"https://example.com/c"}`, header)
	}
	if e := b.want(http.StatusOK, "GET", "/v1/tenants/acme/endpoints/"+id, ""); len(e.list("secrets")) != 2 {
		t.Errorf("rotated more than once: %s", e.body)
	}
	if n := len(b.woken.keys); n != 1 {
		t.Errorf("woken %d times", n)
	}
}

// count is how many items a list has.
func (b *bundle) count(path string) int {
	b.t.Helper()
	if path == "" {
		return 0
	}
	return len(b.want(http.StatusOK, "GET", path+"?limit=100", "").list("data"))
}

// A key is its caller's own, and another request under it is refused.
func TestKeyedRequestsOfOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/v1/tenants/acme/endpoints"
	other := as(b.key(`{"scopes":["manage","read"]}`))
	one := b.want(http.StatusCreated, "POST", path, `{"url":"https://example.com/a"}`, keyed)
	two := b.want(http.StatusCreated, "POST", path, `{"url":"https://example.com/a"}`, keyed, other)
	if one.text("id") == two.text("id") {
		t.Error("a key was told what another one got")
	}
	b.want(http.StatusUnprocessableEntity, "POST", "/v1/tenants/other/endpoints", `{"url":"https://example.com/a"}`, keyed)
	b.want(http.StatusBadRequest, "POST", path, `{"url":"https://example.com/a"}`, "Idempotency-Key: "+strings.Repeat("k", 256))
	if n := b.count(path); n != 2 {
		t.Errorf("there are %d endpoints", n)
	}
}

// What failed changed nothing, and is done when it comes again and is right.
func TestFailuresAreNotRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/v1/tenants/late/endpoints"
	b.want(http.StatusNotFound, "POST", path, `{"url":"https://example.com/a"}`, keyed)
	b.want(http.StatusBadRequest, "POST", "/v1/tenants/acme/endpoints", `{}`, keyed)
	b.want(http.StatusCreated, "PUT", "/v1/tenants/late", `{}`)
	b.want(http.StatusCreated, "POST", path, `{"url":"https://example.com/a"}`, keyed)
}

// An answer that is too long to be remembered is refused before anything is
// changed.
func TestKeyedAnswersAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/v1/tenants/acme/endpoints"
	filter := `{"path":"data.a","op":"in","value":[` + strings.Repeat(`"aaaaaaaaaaaaaaaa",`, 4000) + `"b"]}`
	body := `{"url":"https://example.com/a","filter":` + filter + `}`
	if a := b.do("POST", path, body, keyed); a.status != http.StatusRequestEntityTooLarge && a.status != http.StatusBadRequest {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := b.count(path); n != 0 {
		t.Errorf("there are %d endpoints", n)
	}
}

// Of many at once one makes the change; the others are told to come again, or
// what it was told.
func TestKeyedRequestsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/v1/tenants/acme/endpoints"
	var mu sync.Mutex
	bodies := map[string]int{}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			a := b.do("POST", path, `{"url":"https://example.com/a"}`, keyed)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.status == http.StatusCreated:
				bodies[a.body]++
			case a.status != http.StatusConflict || a.header.Get("Retry-After") == "":
				t.Errorf("%d %v %s", a.status, a.header, a.body)
			}
		})
	}
	all.Wait()
	if len(bodies) != 1 || b.count(path) != 1 {
		t.Errorf("answers %v, %d endpoints", bodies, b.count(path))
	}
}

// Remembered answers do not live in the API's memory, and what they tell is
// sealed in the store.
func TestKeyedRequestsAfterARestart(t *testing.T) {
	t.Parallel()
	var c api.Config
	b := setup(t, func(given *api.Config) { c = *given })
	const path = "/v1/tenants/acme/endpoints"
	one := b.want(http.StatusCreated, "POST", path, `{"url":"https://example.com/a"}`, keyed)
	restart := func() {
		var err error
		b.api, err = api.New(c)
		must(t, err)
	}
	restart()
	two := b.want(http.StatusCreated, "POST", path, `{"url":"https://example.com/a"}`, keyed)
	if one.body != two.body {
		t.Errorf("%s, then %s", one.body, two.body)
	}
	admin := b.want(http.StatusOK, "GET", "/v1/keys", "").list("data")[0]["id"].(string)
	r, err := b.store.Remembered(t.Context(), store.RequestKey{Scope: "call/" + admin, Key: "k 1"}, time.Time{})
	must(t, err)
	if r == nil || bytes.Contains(r.Answer, []byte("secret")) || bytes.Contains(r.Answer, []byte("example.com")) {
		t.Errorf("stored as %+v", r)
	}
}
