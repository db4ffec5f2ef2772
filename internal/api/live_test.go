package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/live"
	"grapnel/internal/store/eithertest"
)

// pipes is a network of pipes, which a bubble of virtual time can hold.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

// inBubble runs a test with an API behind a server that bounds the time of
// requests as the real one does.
func inBubble(t *testing.T, test func(b *bundle, dial *http.Client), change ...func(*api.Config)) {
	t.Helper()
	t.Parallel()
	eithertest.OnlySQLite(t, "its answers come in virtual time")
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, change...)
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		srv := &http.Server{Handler: b.api, ReadTimeout: 60 * time.Second, WriteTimeout: 90 * time.Second}
		go srv.Serve(p)
		transport := &http.Transport{DialContext: p.dial}
		defer func() { // also when the test gives up
			b.live.Close()
			transport.CloseIdleConnections()
			close(p.done)
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}()
		test(b, &http.Client{Transport: transport})
	})
}

// watching is a stream that a test reads.
type watching struct {
	t   *testing.T
	res *http.Response
	in  *bufio.Reader
}

// told is a message of a stream. A comment has the event ":".
type told struct{ event, id, data string }

func (b *bundle) watch(dial *http.Client, path, key string, headers ...string) *watching {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://test"+path, nil)
	must(b.t, err)
	req.Header.Set("Authorization", "Bearer "+key)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := dial.Do(req)
	must(b.t, err)
	b.t.Cleanup(func() { res.Body.Close() })
	return &watching{b.t.(*testing.T), res, bufio.NewReader(res.Body)}
}

// opened is watch, of which the answer has to be a stream.
func (b *bundle) opened(dial *http.Client, path, key string, headers ...string) *watching {
	b.t.Helper()
	w := b.watch(dial, path, key, headers...)
	if w.res.StatusCode != http.StatusOK || w.res.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(w.res.Body)
		b.t.Fatalf("%s: %d %s", path, w.res.StatusCode, text)
	}
	return w
}

// read reads the next message. The error is that of the connection.
func (w *watching) read() (m told, err error) {
	for {
		line, err := w.in.ReadString('\n')
		if err != nil {
			return m, err
		}
		switch field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); field {
		case "":
			if value != "" { // a comment
				m.event, m.data = ":", value
				continue
			}
			return m, nil
		case "event":
			m.event = value
		case "id":
			m.id = value
		case "data":
			m.data += value
		}
	}
}

// next is the next message that is no comment.
func (w *watching) next() told {
	w.t.Helper()
	for {
		m, err := w.read()
		if err != nil {
			w.t.Fatal(err)
		}
		if m.event != ":" {
			return m
		}
	}
}

// ends checks that the server ends the stream, and in order.
func (w *watching) ends() {
	w.t.Helper()
	for {
		m, err := w.read()
		if err == nil && m.event == ":" {
			continue
		}
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			w.t.Errorf("the stream goes on, or ends badly: %+v, %v", m, err)
		}
		return
	}
}

func (m told) json(t *testing.T) (v map[string]any) {
	t.Helper()
	must(t, json.Unmarshal([]byte(m.data), &v))
	return v
}

// recorded records an attempt and tells the hub, as dispatch does.
func (b *bundle) recorded(event, endpoint string, at hook.Attempt) {
	b.t.Helper()
	b.attempt(event, endpoint, at)
	id, err := hook.ParseEventID(event)
	must(b.t, err)
	e, err := b.store.Event(b.t.Context(), hook.AllTenants, id)
	must(b.t, err)
	ep, _ := b.dir.EndpointByID("acme", endpoint)
	b.live.Recorded(e.Tenant, hook.DeliveryKey{Event: id, Endpoint: ep.Num}, e.Type, &at)
}

const allLive = "/v1/deliveries/live"

// What is told is the delivery as it is shown, and the attempt in few words.
func TestWatchDeliveries(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
		w := b.opened(dial, allLive, adminKey)
		event := b.publish("acme", `{"type":"a","data":1}`)
		at := time.Now()
		b.recorded(event, endpoint, hook.Attempt{
			N: 1, At: at, State: hook.Pending, Status: 500, Reason: "status 500", NextAt: at.Add(time.Minute), Timing: hook.Timing{Total: 1500 * time.Microsecond},
		})
		got := w.next().json(t)
		attempt := got["attempt"]
		delete(got, "attempt")
		if tenant := got["tenant"]; tenant != "acme" {
			t.Errorf("of the tenant %v", tenant)
		}
		delete(got, "tenant")
		shown := b.want(http.StatusOK, "GET", "/v1/tenants/acme/deliveries", "").list("data")[0]
		if diff := cmp.Diff(shown, got); diff != "" {
			t.Error(diff)
		}
		want := map[string]any{
			"n": 1.0, "at": at.UTC().Format("2006-01-02T15:04:05.000Z"), "trigger": "scheduled", "state": "pending", "status": 500.0, "duration_ms": 1.5,
		}
		if diff := cmp.Diff(want, attempt); diff != "" {
			t.Error(diff)
		}
		b.recorded(event, endpoint, hook.Attempt{N: 2, At: at, State: hook.Delivered, Status: 200})
		if got := w.next().json(t); got["state"] != "delivered" || got["attempt_count"] != 2.0 {
			t.Errorf("then %v", got)
		}
	})
}

func TestWatchFilters(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		one, two := b.endpoint("acme", `{"url":"https://example.com/1"}`), b.endpoint("acme", `{"url":"https://example.com/2"}`)
		streams := map[string]*watching{}
		for _, q := range []string{"endpoint=" + one, "type=b", "state=failed,delivered", "endpoint=" + two + "&state=pending"} {
			streams[q] = b.opened(dial, "/v1/tenants/acme/deliveries/live?"+q, adminKey)
		}
		for _, eventType := range []string{"a", "b"} {
			event := b.publish("acme", `{"type":"`+eventType+`","data":1}`)
			b.recorded(event, one, hook.Attempt{N: 1, At: time.Now(), State: hook.Delivered})
			b.recorded(event, two, hook.Attempt{N: 1, At: time.Now(), State: hook.Pending, NextAt: time.Now()})
		}
		for q, want := range map[string][]string{
			"endpoint=" + one: {one + " a", one + " b"}, "type=b": {one + " b", two + " b"},
			"state=failed,delivered": {one + " a", one + " b"}, "endpoint=" + two + "&state=pending": {two + " a", two + " b"},
		} {
			var got []string
			for range want {
				m := streams[q].next().json(t)
				got = append(got, fmt.Sprint(m["endpoint"], " ", m["type"]))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", q, diff)
			}
		}
		b.live.Close()
		for _, w := range streams {
			w.ends()
		}
		for q, status := range map[string]int{"endpoint=none": 404, "state=x": 400, "status=x": 400} {
			b.want(status, "GET", "/v1/tenants/acme/deliveries/live?"+q, "")
		}
	})
}

// case 94: a key is told of its own tenants, and not even how much happens in
// others.
func TestWatchForeign(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
		w := b.opened(dial, allLive, b.key(`{"tenant":"other","scopes":["read"]}`))
		event := b.publish("acme", `{"type":"a","data":1}`)
		for n := range 3 {
			b.recorded(event, endpoint, hook.Attempt{N: n + 1, At: time.Now(), State: hook.Pending, NextAt: time.Now()})
		}
		b.live.Close()
		w.ends()
		w = b.watch(dial, allLive+"?endpoint="+endpoint, b.key(`{"tenant":"other","scopes":["read"]}`))
		if w.res.StatusCode != http.StatusServiceUnavailable && w.res.StatusCode != http.StatusNotFound {
			t.Errorf("another tenant's endpoint: %d", w.res.StatusCode)
		}
	}, func(c *api.Config) { c.Live.Backlog = 1 })
}

// The server's bounds on the time of a request do not end a stream, and beats
// show that it stands.
func TestStreamOutlivesTimeouts(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		begin := time.Now()
		w := b.opened(dial, allLive, adminKey)
		beats := 0
		for time.Since(begin) < 5*time.Minute {
			m, err := w.read()
			if err != nil {
				t.Fatalf("after %s: %v", time.Since(begin), err)
			}
			if m.event == ":" && time.Since(begin) > 0 {
				beats++
			}
		}
		if beats != 20 {
			t.Errorf("%d beats in 5 minutes, want 20", beats)
		}
	})
}

// Who reads too slowly is told how much is lost, and who reads nothing is let
// go; nobody waits for either.
func TestSlowReader(t *testing.T) {
	const backlog = 10
	inBubble(t, func(b *bundle, dial *http.Client) {
		endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
		event := b.publish("acme", `{"type":"a","data":1}`)
		slow, dead := b.opened(dial, allLive, adminKey), b.opened(dial, allLive, adminKey)
		const changes = 1000
		for n := range changes {
			b.recorded(event, endpoint, hook.Attempt{N: n + 1, At: time.Now(), State: hook.Pending, NextAt: time.Now()})
			synctest.Wait() // so that the stream takes what it can
		}
		seen, missed := 0, 0
		for seen+missed < changes {
			m := slow.next()
			switch m.event {
			case "missed":
				missed += int(m.json(t)["count"].(float64))
			default:
				seen++
			}
		}
		if missed == 0 || seen < backlog || seen+missed != changes {
			t.Errorf("saw %d, missed %d of %d", seen, missed, changes)
		}
		time.Sleep(time.Minute)
		for {
			if _, err := dead.read(); err != nil {
				break
			}
		}
		if n := b.live.Count(); n != 0 {
			t.Errorf("%d streams are counted although nobody reads", n)
		}
	}, func(c *api.Config) { c.Live.Backlog = backlog })
}

// The end of the server ends streams at once, also one that is not being read.
func TestStreamsEndWithTheServer(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
		event := b.publish("acme", `{"type":"a","data":1}`)
		stuck := b.opened(dial, allLive+"?endpoint="+endpoint, adminKey)
		requests := b.opened(dial, "/v1/tenants/acme/requests/live", adminKey)
		for n := range 100 {
			b.recorded(event, endpoint, hook.Attempt{N: n + 1, At: time.Now(), State: hook.Pending, NextAt: time.Now()})
		}
		synctest.Wait()
		begin := time.Now()
		b.live.Close()
		requests.next()
		requests.ends()
		for b.live.Count() > 0 {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the end took %s", took)
		}
		stuck.res.Body.Close()
		b.want(http.StatusServiceUnavailable, "GET", allLive, "")
	})
}

// case 95: a revoked key's stream ends, as does that of a deleted tenant.
func TestStreamEndsWithTheKey(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		made := b.want(http.StatusCreated, "POST", "/v1/keys", `{"scopes":["read","manage"]}`)
		all := b.opened(dial, allLive, made.text("key"))
		requests := b.opened(dial, "/v1/tenants/acme/requests/live", made.text("key"))
		deleted := b.opened(dial, "/v1/tenants/other/requests/live", adminKey)
		requests.next()
		deleted.next()
		b.want(http.StatusNoContent, "DELETE", "/v1/keys/"+made.text("id"), "")
		b.want(http.StatusNoContent, "DELETE", "/v1/tenants/other", "")
		b.publish("acme", `{"type":"a","data":1}`)
		requests.ends()
		deleted.ends()
		all.ends()
	})
}

func TestStreamsAreBounded(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		key := b.key(`{"scopes":["read"]}`)
		first := b.opened(dial, allLive, key)
		if w := b.watch(dial, allLive, key); w.res.StatusCode != http.StatusTooManyRequests || w.res.Header.Get("Retry-After") == "" {
			t.Errorf("one too many of a key: %d", w.res.StatusCode)
		}
		b.opened(dial, allLive, adminKey)
		if w := b.watch(dial, allLive, b.key(`{"scopes":["read"]}`)); w.res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("one too many in all: %d", w.res.StatusCode)
		}
		first.res.Body.Close()
		synctest.Wait()
		b.opened(dial, allLive, key)
	}, func(c *api.Config) { c.Live.Config = live.Config{Streams: 2, StreamsPerKey: 1, Backlog: 10} })
}
