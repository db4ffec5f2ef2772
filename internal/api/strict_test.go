package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/live"
	"grapnel/internal/store"
)

// A parameter that could mean two things is refused before anything is done.
func TestParametersMeanOneThing(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.Backup = &half{err: store.ErrFull} })
	for name, x := range things() {
		b.want(http.StatusCreated, "PUT", x.path, x.body)
		for _, q := range []string{"dry_run", "dry_run=", "dry_run=1", "dry_run=TRUE", "dry_run=false&dry_run=true", "dry_run=true&dry_run=true", "dry_run&dry_run=false"} {
			if a := b.want(http.StatusBadRequest, "DELETE", x.path+"?"+q, ""); !strings.Contains(a.body, "dry_run") {
				t.Error(a.body)
			}
			b.want(http.StatusBadRequest, "PUT", x.path+"?"+q, x.change)
		}
		b.want(http.StatusOK, "GET", x.path, "")
		b.want(http.StatusNoContent, "DELETE", x.path+"?dry_run=false", "")
		if a := b.do("GET", x.path, ""); a.status != http.StatusNotFound {
			t.Errorf("%s: %d after it was deleted", name, a.status)
		}
	}
	for _, q := range []string{"without_key", "without_key=", "without_key=1", "without_key=true&without_key=false"} {
		b.want(http.StatusBadRequest, "POST", "/v1/backup?"+q, "")
	}
	b.want(http.StatusServiceUnavailable, "POST", "/v1/backup?without_key=true", "")
	b.want(http.StatusBadRequest, "POST", acmeReplays+"?dry_run", `{"since":"2026-01-01T00:00:00Z"}`)
	for _, path := range []string{
		"/v1/tenants?limit=1&limit=2", acmeDeliveries + "?endpoint=a&endpoint=b", acmeRequests + "?after=now&after=start", "/v1/tenants/acme/events?since=&since=",
	} {
		b.want(http.StatusBadRequest, "GET", path, "")
	}
	b.want(http.StatusOK, "GET", acmeDeliveries+"?state=failed&state=held", "")
}

func TestHeadIsAllowedWhereGetIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, want := range map[string]string{"/v1/tenants/acme": "GET, HEAD, PUT, DELETE", "/v1/backup": "POST"} {
		if got := b.want(http.StatusMethodNotAllowed, "OPTIONS", path, "").header.Get("Allow"); got != want {
			t.Errorf("%s allows %q, want %q", path, got, want)
		}
	}
}

// Whatever an event's own id holds, the event is found under it.
func TestOwnIDsOfAnyForm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for id, escaped := range map[string]string{".": "%2E", "..": "%2E%2E", "a//b": "a%2F%2Fb", "/./": "%2F%2E%2F", "a/..": "a%2F%2E%2E"} {
		made := b.publish("acme", `{"type":"a","id":"`+id+`","data":1}`)
		if got := b.want(http.StatusOK, "GET", "/v1/tenants/acme/events/"+escaped, "").text("id"); got != made {
			t.Errorf("%q leads to %s, want %s", id, got, made)
		}
	}
	for _, path := range []string{"/v1//tenants", "/v1/./tenants", "/v1/tenants/../tenants", "/v1/tenants/acme/.."} {
		b.want(http.StatusNotFound, "GET", path, "")
	}
}

// A backup is never the answer to an earlier request.
func TestBackupTakesNoIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := &half{}
	h.begins()
	b := setup(t, func(c *api.Config) { c.Backup = h })
	if a := b.want(http.StatusBadRequest, "POST", "/v1/backup", "", "Idempotency-Key: k"); !strings.Contains(a.body, "Idempotency-Key") {
		t.Error(a.body)
	}
}

// Tags that cannot be read are a 400 that the document has, also of what is
// open; an answer that is not the list has no links to its neighbours.
func TestAnswersWithoutTheThing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/v1/openapi.json", "/v1/problems/not_found", "/v1/tenants"} {
		b.want(http.StatusBadRequest, "GET", path, "", "If-None-Match: junk")
	}
	const list = "/v1/tenants?limit=1"
	a := b.want(http.StatusOK, "GET", list, "")
	if a.header.Get("Link") == "" {
		t.Fatal("a page has no link to the next one")
	}
	for status, header := range map[int]string{
		http.StatusNotModified: "If-None-Match: " + a.header.Get("ETag"), http.StatusBadRequest: "If-None-Match: junk", http.StatusPreconditionFailed: `If-Match: "x"`,
	} {
		if got := b.want(status, "GET", list, "", header).header.Get("Link"); got != "" {
			t.Errorf("%d has Link %s", status, got)
		}
	}
}

func TestReplayHasALocation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.want(http.StatusAccepted, "POST", acmeReplays, `{"since":"2026-01-01T00:00:00Z"}`, "Idempotency-Key: k")
	again := b.want(http.StatusAccepted, "POST", acmeReplays, `{"since":"2026-01-01T00:00:00Z"}`, "Idempotency-Key: k")
	if at := a.header.Get("Location"); at != acmeReplays+"/"+a.text("id") || at != again.header.Get("Location") {
		t.Errorf("Location %q, then %q", at, again.header.Get("Location"))
	}
	b.want(http.StatusOK, "GET", a.header.Get("Location"), "")
}

// A cursor is looked at before the stream begins, and takes no place.
func TestListenRefusesBeforeItBegins(t *testing.T) {
	t.Parallel()
	hub := live.New(live.Config{StreamsPerKey: 1})
	b := setup(t, func(c *api.Config) { c.Live = hub })
	leave, err := hub.Enter(b.want(http.StatusOK, "GET", "/v1/keys", "").list("data")[0]["id"].(string), "acme", false)
	must(t, err)
	defer leave()
	if a := b.want(http.StatusBadRequest, "GET", acmeRequests+"?after=junk", ""); a.header.Get("X-Accel-Buffering") != "" {
		t.Errorf("headers of a stream: %v", a.header)
	}
	if a := b.want(http.StatusTooManyRequests, "GET", acmeRequests, ""); a.header.Get("X-Accel-Buffering") != "" {
		t.Errorf("headers of a stream: %v", a.header)
	}
}

// A cursor beyond the last event is told of, and what comes next is sent.
func TestListenBeyondTheEnd(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		last := b.publish("acme", `{"type":"a","data":1}`)
		beyond := hook.FirstEventID(time.Now().Add(1000 * time.Hour)).String()
		for _, how := range []func() *watching{
			func() *watching { return b.opened(dial, acmeRequests+"?after="+beyond, adminKey) },
			func() *watching { return b.opened(dial, acmeRequests, adminKey, "Last-Event-ID: "+beyond) },
		} {
			w := how()
			if hello := w.hello(); hello["cursor"] != last {
				t.Errorf("it begins at %v, want %s", hello["cursor"], last)
			}
			if m := w.next(); m.event != "gap" || m.json(t)["after"] != beyond || !strings.Contains(m.data, "beyond") {
				t.Errorf("told of %+v", m)
			}
			last = b.publish("acme", `{"type":"b","data":1}`)
			if got, _ := w.types(1); got[0] != "b" {
				t.Errorf("then %v", got)
			}
		}
	})
}

// case 104: whoever listens gets the requests without their credentials.
func TestListenHidesCredentials(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		id := b.endpoint("acme", `{"url":"https://example.com/","headers":{"X-Team":"blue","Authorization":"Bearer canary"}}`)
		w := b.opened(dial, acmeRequests+"?endpoint="+id, adminKey)
		w.hello()
		b.publish("acme", `{"type":"a","data":1}`)
		if m := w.next(); strings.Contains(m.data, "canary") || !strings.Contains(m.data, `["Authorization","[secret]"]`) || !strings.Contains(m.data, `["X-Team","blue"]`) {
			t.Error(m.data)
		}
	})
}

// stalled is a connection whose reader does not read: what is written waits for
// its deadline.
type stalled struct {
	*httptest.ResponseRecorder
	writes   chan struct{} // one began to wait
	deadline chan time.Time
}

func (s *stalled) SetReadDeadline(time.Time) error { return nil }

func (s *stalled) SetWriteDeadline(at time.Time) error {
	s.deadline <- at
	return nil
}

func (s *stalled) Write([]byte) (int, error) {
	<-s.deadline // of this write
	close(s.writes)
	at := <-s.deadline // somebody puts it forward
	if time.Until(at) > backupPatience {
		return 0, io.ErrNoProgress
	}
	return 0, io.ErrClosedPipe
}

// backupPatience is less than a piece of a backup gets while the server runs.
const backupPatience = 20 * time.Second

// The server's stop does not wait for a reader of a backup who has stalled.
func TestStalledBackupEndsWithTheServer(t *testing.T) {
	t.Parallel()
	h := &half{}
	h.begins()
	hub := live.New(live.Config{})
	b := setup(t, func(c *api.Config) { c.Backup, c.Live = h, hub })
	s := &stalled{httptest.NewRecorder(), make(chan struct{}), make(chan time.Time, 2)}
	r := httptest.NewRequestWithContext(context.Background(), "POST", "/v1/backup", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+adminKey)
	var ended any
	var done sync.WaitGroup
	done.Go(func() {
		defer func() { ended = recover() }()
		b.api.ServeHTTP(s, r)
	})
	<-s.writes
	hub.Close()
	done.Wait()
	if ended != http.ErrAbortHandler {
		t.Errorf("it ended with %v", ended)
	}
}
