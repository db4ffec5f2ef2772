package hostile_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/hostile"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, b hostile.Behaviour) *hostile.Server {
	t.Helper()
	s, err := hostile.Listen(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, s *hostile.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

const post = "POST /a?b HTTP/1.1\r\nHost: x\r\nx-Odd-CASE: 1\r\nContent-Length: 3\r\n\r\nabc"

func TestAnswerRecordsWhatCame(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Answer(hostile.Sequence(hostile.Reply{Body: "first"}, hostile.Reply{Status: 503})))
	c := dial(t, s)
	r := bufio.NewReader(c)
	for _, want := range []int{200, 503, 503} {
		io.WriteString(c, post)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
	got := s.Requests()
	if len(got) != 3 || s.Conns() != 1 {
		t.Fatalf("%d requests on %d connections", len(got), s.Conns())
	}
	want := hostile.Request{
		Head: post[:strings.Index(post, "\r\n\r\n")+2], Method: "POST", Target: "/a?b", Body: []byte("abc"), Conn: 1, Nth: 2, At: got[1].At,
		Header: []hostile.Field{{Name: "Host", Value: "x"}, {Name: "x-Odd-CASE", Value: "1"}, {Name: "Content-Length", Value: "3"}},
	}
	if d := cmp.Diff(want, got[1]); d != "" {
		t.Error(d)
	}
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.WaitClosed(ctx, 1); err != nil {
		t.Error(err)
	}
}

func TestFlakyIsTheSameForASeed(t *testing.T) {
	t.Parallel()
	good, bad := hostile.Reply{Status: 200}, hostile.Reply{Status: 500}
	a, b := hostile.Flaky(0.5, 7, good, bad), hostile.Flaky(0.5, 7, good, bad)
	failed := 0
	for range 1000 {
		x, y := a(nil), b(nil)
		if x.Status != y.Status {
			t.Fatal("two runs of one seed differ")
		}
		if x.Status == 500 {
			failed++
		}
	}
	if failed < 400 || failed > 600 {
		t.Errorf("%d of 1000 failed, want about half", failed)
	}
}

func TestResetAtCutsTheAnswer(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.ResetAt(0))
	c := dial(t, s)
	io.WriteString(c, post)
	if b, err := io.ReadAll(c); len(b) > 0 || err == nil {
		t.Errorf("got %q, %v; want nothing and a reset", b, err)
	}
}

func TestCloseEndsEveryBehaviour(t *testing.T) {
	t.Parallel()
	for _, b := range []hostile.Behaviour{
		hostile.NeverAnswer(), hostile.Silent(), hostile.EndlessBody(), hostile.DripBody(200, time.Hour), hostile.DripHeader(time.Hour),
		hostile.EndlessHeaders(), hostile.Informational(103), hostile.SwitchProtocols(true), hostile.RawOpen("x"), hostile.SlowReader(time.Hour),
		hostile.Always(hostile.Reply{Delay: time.Hour}),
	} {
		s, err := hostile.Listen(b)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, s)
		io.WriteString(c, post)
		s.Close() // returns only when the behaviour has
	}
}
