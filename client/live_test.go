package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
)

// script answers the requests of a client one after the other. An answer that
// ends with "…" stays open.
type script struct {
	answers []string // "STATUS\nBODY"; "": the connection fails
	asked   []string // the queries
	at      []time.Time
}

var errNoConnection = errors.New("no connection")

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.URL.Path+"?"+r.URL.RawQuery)
	s.at = append(s.at, time.Now())
	if len(s.answers) == 0 || s.answers[0] == "" {
		s.answers = s.answers[min(1, len(s.answers)):]
		return nil, errNoConnection
	}
	status, body, _ := strings.Cut(s.answers[0], "\n")
	s.answers = s.answers[1:]
	res := &http.Response{StatusCode: 200, Status: status, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(body))}
	if _, err := fmt.Sscan(status, &res.StatusCode); err != nil {
		return nil, err
	}
	if text, open := strings.CutSuffix(body, "…"); open {
		in, out := io.Pipe()
		go func() {
			_, _ = io.WriteString(out, text)
			<-r.Context().Done()
			out.CloseWithError(r.Context().Err())
		}()
		res.Body = in
	}
	return res, nil
}

func streamOf(t *testing.T, s *script) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: "http://test", Key: "k", HTTP: &http.Client{Transport: s, Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The position is kept over every way in which a stream can break, and so is
// what came with it.
func TestRequestsResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const hello = "event: hello\ndata: {\"cursor\":\"c0\",\"dialect\":\"standard\",\"secret\":\"s\"}\n\n"
		s := &script{answers: []string{
			"200\n: hi\n\n" + hello + "id: c1\ndata: {\"event\":\"c1\",\"method\":\"POST\",\"headers\":[[\"a\",\"b\"],[\"A\",\"c\"]],\"body\":\"{}\"}\n\nid: c2\ndata: {\"half",
			"", "503\n{}",
			"200\n" + hello + "id: c3\n\nevent: gap\ndata: {\"after\":\"c3\"}\n\nevent: skipped\nid: c4\ndata: {\"event\":\"c4\",\"reason\":\"r\"}\n\n",
			"200\r\n" + strings.ReplaceAll(hello+"id: c5\ndata: {\"event\":\"c5\",\"body\":\"AP8=\",\"body_encoding\":\"base64\"}\n\n", "\n", "\r\n") + "…",
			"401\n{\"title\":\"no\"}",
		}}
		var got []string
		var last error
		for m, err := range streamOf(t, s).Requests(t.Context(), "acme", client.RequestsFilter{Endpoint: "ep", Types: []string{"a", "b.*"}}) {
			if last = err; err != nil {
				break
			}
			switch {
			case m.Hello != nil:
				got = append(got, "hello "+m.Hello.Secret)
			case m.Request != nil:
				got = append(got, fmt.Sprintf("%s %s %v %q", m.Cursor, m.Request.Event, m.Request.Headers, m.Request.Body))
			case m.Gap != nil:
				got = append(got, "gap "+m.Gap.After)
			case m.Skipped != nil:
				got = append(got, "skipped "+m.Skipped.Reason)
			case m.Lost != nil:
				got = append(got, "lost")
			default:
				got = append(got, "position "+m.Cursor)
			}
		}
		want := []string{
			"hello s", `c1 c1 [[a b] [A c]] "{}"`, "lost", "lost", "lost",
			"hello s", "position c3", "gap c3", "skipped r", "lost",
			"hello s", `c5 c5 [] "\x00\xff"`, "lost",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		var refused *client.Error
		if !errors.As(last, &refused) || refused.Status != http.StatusUnauthorized {
			t.Errorf("ends with %v", last)
		}
		const q = "/v1/tenants/acme/requests/live?"
		const rest = "endpoint=ep&types=a%2Cb.%2A"
		wantAsked := []string{q + rest, q + "after=c1&" + rest, q + "after=c1&" + rest, q + "after=c1&" + rest, q + "after=c4&" + rest, q + "after=c5&" + rest}
		if diff := cmp.Diff(wantAsked, s.asked); diff != "" {
			t.Error(diff)
		}
		if silence := s.at[5].Sub(s.at[4]); silence < 45*time.Second || silence > time.Minute {
			t.Errorf("a silent connection was given up after %s", silence)
		}
	})
}

// Waits between connections grow up to a bound, and begin anew with success.
func TestLiveBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []string{"200\nevent: missed\ndata: {\"count\":3}\n\nevent: new\ndata: 1\n\n"}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		lost, missed := 0, 0
		var last error
		for change, err := range streamOf(t, s).Live(ctx, client.LiveFilter{Tenant: "acme", States: []string{"failed", "held"}}) {
			if last = err; err != nil {
				break
			}
			missed += change.Missed
			if change.Lost != nil {
				if lost++; lost == 20 {
					s.answers = []string{"200\ndata: {\"id\":\"dlv_1\",\"tenant\":\"acme\",\"attempt\":{\"n\":2}}\n\n…"}
				}
			}
			if d := change.Delivery; d != nil {
				if d.ID != "dlv_1" || d.Tenant != "acme" || d.Attempt.N != 2 {
					t.Errorf("%+v", d)
				}
				cancel()
			}
		}
		if !errors.Is(last, context.Canceled) || missed != 3 || lost != 20 {
			t.Errorf("%v, missed %d, lost %d", last, missed, lost)
		}
		if s.asked[0] != "/v1/tenants/acme/deliveries/live?state=failed%2Cheld" {
			t.Error(s.asked[0])
		}
		for i := 1; i < len(s.at); i++ {
			if wait := s.at[i].Sub(s.at[i-1]); wait < 50*time.Millisecond || wait > 5*time.Second || i > 10 && wait < 2500*time.Millisecond {
				t.Errorf("wait %d is %s", i, wait)
			}
		}
	})
}

func TestStreamThatNeverBegins(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "503\n{}", "404\n{}"} {
		s := &script{answers: []string{answer}}
		n := 0
		for change, err := range streamOf(t, s).Live(t.Context(), client.LiveFilter{}) {
			if n++; err == nil {
				t.Errorf("%q: %+v", answer, change)
			}
		}
		if n != 1 || len(s.asked) != 1 || s.asked[0] != "/v1/deliveries/live?" {
			t.Errorf("%q: told %d times, asked %v", answer, n, s.asked)
		}
	}
}
